"""Pages of a host: whose they are, what they are, and moving them."""
