# Constants of blocks.py for loops.

cdef enum:
    BLOCK = 128
    AHEAD = 64
    FACTS = 1
    TOP = 2
    NO_MAP = 4
    ABSENT = 8
    SECTION_KIND = 15
    SECTION_KIND_BITS = 4
    TOUCHED = 1
    READY = 128
    PAGE_MOVED = 1
    PAGE_ON_TOP = 2
    PAGE_NOT_PLAIN = 4
    FATE_ON_TOP = 1
    FATE_INITIALLY = 2
    FATE_OTHER = 4
    SOURCES = 2
    REFUSE = 0
    DISABLED = 1
    TAKE = 2

# Larger than an enumerator may be.
cdef extern from *:
    unsigned long U32 "0xffffffffUL"
    unsigned long KEPT "0xf8000000UL"
    unsigned long SLOT_BITS "0xfffffff0UL"
    unsigned long EVERY_BYTE "0x0101010101010101UL"
    unsigned long EVERY_WORD "0x0000000100000001UL"
