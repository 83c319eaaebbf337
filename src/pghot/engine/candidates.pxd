# Candidates for loops: the structs of candidates.py, its constants.

cdef enum:
    ALREADY_THERE = 3
    NO_TARGET = 4
    NOT_ISOLATED = 5
    NOT_MIGRATED = 6

cdef packed struct Candidate:
    long pfn
    long index
    long record
    long pages
    long memcg
    long nid
    long latency
    long walk
    unsigned char movable
    unsigned char outcome

cdef packed struct MovedBatch:
    long folios
    long nid
    long memcg
    long pages_moved
