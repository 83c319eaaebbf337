"""Stock kernels in a virtual machine with two memory tiers, and tests that run inside.

By hand: `python -m tests.vm shell`, `python -m tests.vm run -- COMMAND`,
`python -m tests.vm kernels`.
"""
