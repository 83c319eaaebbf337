# Constants of page_flags.py for loops.

cdef enum:
    OFFLINE = 1
    ZONE_DEVICE = 2
    UNREFERENCED = 4
    OFF_LRU = 8
    COMPOUND = 16
    MOVED = 32
    UNMOVABLE = 64
    NOT_ONLINE = 3
    SHARED_ROWS = 65536
    ODD = 65535
    WHOLE = 3
    PALETTE_SHIFT = 8
    CODES_SHIFT = 16
