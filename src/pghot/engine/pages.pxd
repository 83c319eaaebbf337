# The arrays of a MemMap for loops (pages.py).

cdef class Pages:
    cdef readonly object arrays
    cdef int *slot_of
    cdef unsigned long sections
    cdef long slots
    cdef long *section
    cdef short *nid
    cdef unsigned char *irregular
    cdef unsigned char *has_facts
    cdef unsigned char *width
    cdef unsigned char *codes
    cdef unsigned short *whole
    cdef unsigned short *palette
    cdef unsigned short *more_rows
    cdef unsigned char *row_flags
    cdef short *row_nid
    cdef int *row_pages
    cdef unsigned int *row_memcg
    cdef long *odd_index
    cdef long odds
    cdef public long facts_made

cdef long index_of(Pages pages, unsigned long pfn) noexcept nogil
cdef long row_at(Pages pages, long index) noexcept nogil
cdef long node_of(Pages pages, long index, long row) noexcept nogil
cdef long head_of(Pages pages, long index, long row) noexcept nogil
cdef void put_row(Pages pages, long index, long row) noexcept nogil
cdef long move_folio(Pages pages, int *away, int *home, long *free, unsigned long pfn, int nid) noexcept nogil
