"""NUMA balancing of the simulated machine: scanning for hint faults."""
