"""Nodes of a host: memory, tiers, CPUs, zones."""
