# The arrays of a HotMap for loops (maps.py).

cdef class Maps:
    cdef readonly object arrays
    cdef bint precise
    cdef unsigned char *bytes
    cdef unsigned int *words
    cdef unsigned long *lines
    cdef unsigned char *has_map
    cdef unsigned char *hot
    cdef unsigned char *touched
    cdef unsigned char *ready
    cdef unsigned char *marks
    cdef long slots
    cdef long blocks
