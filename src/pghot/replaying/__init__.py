"""Replaying an access log on a machine of arrays (replay.md)."""
