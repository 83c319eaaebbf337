"""Processes of a host: those that are watched, the command, and our own rights."""
