# Constants of units.py as loops take them: known to the C compiler.  A test holds the two equal.

cdef enum:
    PAGE_SHIFT = 12
    PFN_SECTION_SHIFT = 15
    PAGES_PER_SECTION = 32768
    BLOCK_SHIFT = 12
    NID_MAX = 1023
    NUMA_NO_NODE = -1
    MSEC_PER_SEC = 1000
