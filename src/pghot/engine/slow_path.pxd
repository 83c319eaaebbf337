# The rules of R2 one by one, for the recorder (slow_path.py).

from pghot.engine.fast_path cimport RecordRules, AccessArrays, Scratch
from pghot.engine.hot_map_arrays cimport Maps
from pghot.engine.pages cimport Pages

cdef class NodeFlags:
    cdef readonly object arrays
    cdef unsigned char *toptier
    cdef unsigned char *online
    cdef unsigned char *activate

cdef class CallCounts:
    cdef readonly long taken
    cdef readonly long hardware
    cdef readonly long recorded
    cdef readonly long refused
    cdef readonly long on_toptier
    cdef readonly long initially_on_toptier

cdef int verdict(int nid, int source, RecordRules rules, NodeFlags nodes) noexcept nogil
cdef void one_by_one(AccessArrays rows, long first, long end, Pages pages, Maps maps, NodeFlags nodes, RecordRules rules, Scratch scratch, long at, CallCounts tally) noexcept nogil
