"""A run as others see it while it goes on: over a socket, as metrics, as files."""
