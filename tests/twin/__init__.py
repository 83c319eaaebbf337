"""A second pghot, written from the specification alone, to compare the real one with.

Plain Python, one access and one PFN at a time: slow and obvious.  It shares no code with
`pghot.engine` or `pghot.replay`, and reads only a machine's attributes.
"""
