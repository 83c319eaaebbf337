# C for the walk: the next cache line of records of which one is ready.

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__)
    #define PGHOT_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
    #else
    #define PGHOT_WIDE
    #endif

    /* The first of the lines [line, end), of eight words each, in which a bit of `mask` is
       set; `end` where there is none.  The processor's widest vectors are chosen when the
       module is loaded. */
    PGHOT_WIDE static long pghot_next_line(const unsigned long *words, long line, long end,
                                           unsigned long mask)
    {
        for (; line < end; line++) {
            unsigned long some = 0;
            int i;

            for (i = 0; i < 8; i++)
                some |= words[8 * line + i];
            if (some & mask)
                break;
        }
        return line;
    }
    """
    long next_line "pghot_next_line" (const unsigned long *words, long line, long end, unsigned long mask) noexcept nogil
