# Structs of arrays and loops that the recorder calls block by block (fast_path.py).

from pghot.engine.hot_map_arrays cimport Maps
from pghot.engine.pages cimport Pages

cdef class AccessArrays:
    cdef readonly object arrays
    cdef readonly long count
    cdef unsigned long *pfn
    cdef short *nid
    cdef signed char *source
    cdef unsigned long *now

cdef class RecordRules:
    cdef readonly object table
    cdef readonly int enabled
    cdef readonly int target_nid
    cdef readonly bint precise
    cdef readonly unsigned long window
    cdef unsigned long limit
    cdef unsigned long kept
    cdef unsigned char *bytes
    cdef unsigned int *words

cdef class Scratch:
    cdef readonly object arrays
    cdef unsigned int *sections
    cdef unsigned long last
    cdef unsigned char *verdicts
    cdef unsigned long *indices
    cdef unsigned char *fates
    cdef unsigned long *kept
    cdef unsigned long *when
    cdef long staying
    cdef long initially_on_top
    cdef bint plain
    cdef bint facts
    cdef unsigned int width

cdef unsigned long locate(AccessArrays rows, long first, long end, Pages pages, Maps maps, Scratch scratch, long at) noexcept nogil
cdef void keep_lower_tier_rows(AccessArrays rows, long first, long size, Pages pages, Scratch scratch, long at) noexcept nogil
cdef void update_kept(long size, int target, RecordRules rules, Maps maps, Scratch scratch) noexcept nogil
cdef unsigned long update_and_locate(AccessArrays rows, long first, long size, int target, RecordRules rules, Pages pages, Maps maps, Scratch scratch, long at, long at_next) noexcept nogil
cdef bint update_one(unsigned long index, unsigned long now, int target, RecordRules rules, Maps maps) noexcept nogil
cdef bint one_time(AccessArrays rows, long first, long end, bint precise) noexcept nogil
cdef void ask_for_rows(AccessArrays rows, long first) noexcept nogil
