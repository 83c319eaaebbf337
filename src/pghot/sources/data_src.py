"""Whether a sampled op went to memory, and whether it wrote, by what the hardware says of it.

AMD's and Intel's as union perf_mem_data_src: include/uapi/linux/perf_event.h, PERF_MEM_OP_*,
PERF_MEM_LVL_* and PERF_MEM_LVLNUM_*.  Arm SPE's as its packets of events and data source: Arm ARM,
"Statistical Profiling Extension sample record specification".
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


SPE_L1D_ACCESS, SPE_L1D_REFILL, SPE_LLC_ACCESS, SPE_LLC_MISS = (1 << bit for bit in (2, 3, 8, 9))
"""Bits of SPE's packet of events."""

SPE_CACHES = (0x0, 0x8, 0x9, 0xA, 0xB, 0xC)
"""Data sources of Arm's own cores (Neoverse, Cortex) that are caches: L1D, L2, of another core, of
this cluster, of the system, of another cluster.  The others are a remote socket and memory."""

SPE_UNKNOWN = np.uint64((1 << 64) - 1)
"""In the place of a packet that was not there."""

SPE_STORE = 1
"""Of a load or store's operation packet: it stores."""


def spe_is_write(operations: _U64Array) -> _BoolArray:
    """Which of SPE's loads and stores stored."""
    stored: _BoolArray = operations & np.uint64(SPE_STORE) != 0
    return stored


def spe_is_memory(events: _U64Array, sources: _U64Array) -> _BoolArray:
    """Which of SPE's loads and stores memory served, or may have.

    The last-level cache says so where it tells of the access; else the first level where that
    hit; else the data source.  What nobody tells of counts as memory.
    """
    told = events != SPE_UNKNOWN

    def has(bits: int) -> _BoolArray:
        found: _BoolArray = told & (events & np.uint64(bits) != 0)
        return found

    last = has(SPE_LLC_ACCESS | SPE_LLC_MISS)
    hit = has(SPE_L1D_ACCESS) & ~has(SPE_L1D_REFILL)
    cache = np.isin(sources, np.array(SPE_CACHES, np.uint64))
    served: _BoolArray = np.where(last, has(SPE_LLC_MISS), ~hit & ~cache)
    return served
