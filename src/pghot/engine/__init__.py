"""The engine of the series: time, accesses and a `Memory` in; promotions and counters out.

It does no I/O, reads no clock and imports nothing else of this package.
"""
