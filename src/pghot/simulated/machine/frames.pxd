# Free lists for loops (frames.py).

cdef class Lists:
    cdef readonly object arrays
    cdef long *free
    cdef long *single
    cdef long *block
    cdef long *fresh
    cdef long *end
    cdef long *part
    cdef long *part_end
    cdef int *next

cdef long take(Lists lists, long nid, long pages) noexcept nogil
cdef void give_back(Lists lists, long nid, long pfn, long pages) noexcept nogil
