# Words of memory shared with the kernel, in C: barriers.py has the same names, interpreted.

cdef extern from *:
    """
    #define pghot_load_acquire(words, index) __atomic_load_n(&(words)[index], __ATOMIC_ACQUIRE)
    #define pghot_store_release(words, index, value) \
        __atomic_store_n(&(words)[index], value, __ATOMIC_RELEASE)
    """
    unsigned long acquire "pghot_load_acquire" (
        const unsigned long *words, long index) noexcept nogil
    void release "pghot_store_release" (
        unsigned long *words, long index, unsigned long value) noexcept nogil
