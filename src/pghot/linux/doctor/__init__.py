"""Whether a run could work on a host, and what is missing."""
