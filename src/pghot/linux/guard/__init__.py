"""Settings of a host: changed through one guard, written down first, put back."""
