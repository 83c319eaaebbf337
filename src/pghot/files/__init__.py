"""Files on disk that others must not be able to swap, and that appear whole or not at all."""
