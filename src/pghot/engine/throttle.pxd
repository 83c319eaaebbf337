# The throttle for loops (throttle.py).

cdef packed struct Pgdat:
    long nbp_rl_start
    long nbp_rl_nr_cand
    long nbp_th_start
    long nbp_th_nr_cand
    long nbp_threshold
    long pgpromote_success
    long pgpromote_candidate
    long pgpromote_candidate_nrl

cdef class Limits:
    cdef public long batch_max
    cdef public long window_ms
    cdef public long rate_limit
    cdef public long now_ms
    cdef public long hz
    cdef public bint count_refused

cdef Pgdat *pgdat_items(object pgdat)
cdef bint has_headroom(long free_pages, long promo_wmark, long present_pages) noexcept nogil
cdef int judge(Pgdat *pgdat, long nid, bint enough, long pages, long latency_ms, Limits limits) noexcept nogil
