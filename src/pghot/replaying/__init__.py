"""Replaying an access log on a machine of arrays (R9)."""
