"""Scenarios: what a simulation is made of, as a file says it, checked."""
