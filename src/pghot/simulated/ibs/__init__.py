"""The IBS Memory Profiler of the simulated machine."""
