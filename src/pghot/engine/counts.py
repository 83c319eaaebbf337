"""Accesses that come several at once, and ranges of pages.

record_accesses() and record_range() of the tree on top of v8, which a CXL hotness monitoring
unit reports with: units of a page or more, and how often each was accessed in an epoch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.mem_map import MemMap
from pghot.engine.memory import U64Array


def times(count: npt.NDArray[np.integer], most: int) -> npt.NDArray[np.int64]:
    """How often to record rows that stand for `count` accesses each, at one time (R2.10).

    So many accesses in a row leave the record that one of that count does: the first begins
    the window where that is over, and each of the others adds one, up to `most`, the largest
    frequency.
    """
    return np.minimum(count, np.asarray(most, count.dtype)).astype(np.int64)


def folios_in(mem_map: MemMap, pfn: int, pages: int) -> U64Array:
    """A PFN of each folio that has pages among `pages` from `pfn` on: its first one there.

    PFNs of no memory are stepped over.
    """
    pfns = np.uint64(pfn) + np.arange(pages, dtype=np.uint64)
    pfns = pfns[mem_map.indices(pfns) >= 0]
    heads = mem_map.known(pfns).head
    return pfns[np.sort(np.unique(heads, return_index=True)[1])]
