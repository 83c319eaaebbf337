# Moving folios, for loops (pass_mover.py).

cdef class PassMover:
    cdef readonly object frames
    cdef long *free
    cdef long *present
    cdef long *promo_wmark
    cdef long *kept
    cdef public long nid

    cdef void expect(self, unsigned long pfn) noexcept nogil
    cdef long move(self, unsigned long pfn) noexcept nogil
