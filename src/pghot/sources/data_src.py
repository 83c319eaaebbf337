"""union perf_mem_data_src: whether a sampled op went to memory, and whether it wrote.

include/uapi/linux/perf_event.h, PERF_MEM_OP_*, PERF_MEM_LVL_* and PERF_MEM_LVLNUM_*.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_U64Array = npt.NDArray[np.uint64]
_BoolArray = npt.NDArray[np.bool_]

OP_LOAD, OP_STORE = 0x02, 0x04
LVL_HIT, LVL_MISS = 0x02, 0x04
LVL_CACHES = 0x08 | 0x10 | 0x20 | 0x40 | 0x400 | 0x800
"""L1, LFB, L2, L3 and remote caches one or two hops away."""

LVL_NOT_RAM = 0x1000 | 0x2000
"""I/O and uncached memory."""

LVLNUM_UNKNOWN = (0x0, 0xF)
LVLNUM_MEMORY = (0x9, 0xD, 0xE)
"""CXL, RAM and PMEM."""

_LVL_SHIFT, _LVL_MASK = 5, 0x3FFF
_LVLNUM_SHIFT, _LVLNUM_MASK = 33, 0xF


def is_write(data_src: _U64Array) -> _BoolArray:
    """Which stored."""
    stored: _BoolArray = data_src & np.uint64(OP_STORE) != 0
    return stored


def is_memory(data_src: _U64Array) -> _BoolArray:
    """Which are loads or stores that memory served, or may have.

    Newer processors give the level as a number, older ones as bits; where the number is
    unknown, the bits decide, and where they are too, it counts as memory.  A miss of any
    level, with no hit, is a miss of the last that was asked.
    """
    level = (data_src >> np.uint64(_LVL_SHIFT)) & np.uint64(_LVL_MASK)
    number = (data_src >> np.uint64(_LVLNUM_SHIFT)) & np.uint64(_LVLNUM_MASK)
    access = data_src & np.uint64(OP_LOAD | OP_STORE) != 0
    missed = level & np.uint64(LVL_HIT | LVL_MISS) == LVL_MISS
    unknown = np.isin(number, LVLNUM_UNKNOWN)
    memory = np.isin(number, LVLNUM_MEMORY)
    elsewhere = level & np.uint64(LVL_CACHES | LVL_NOT_RAM) != 0
    served: _BoolArray = access & (missed | memory | (unknown & ~elsewhere))
    return served
