"""Page frames of the nodes: which are free, and folios that take them.

A node hands out 2 MiB blocks, and single frames out of blocks that it has split.  Frames
that come back are used again first, the last one at first, as the kernel's lists do.  Free
frames of split blocks are not put together again: there is no compaction.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.units import NID_MAX

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64
else:
    from pghot.engine.arrays import i32, i64

HUGE_PAGES = 512
"""Pages of a 2 MiB folio: HPAGE_PMD_NR."""

NONE = -1

_HUGE_PAGES = cython.declare(cython.long, HUGE_PAGES)
_NONE = cython.declare(cython.long, NONE)


class FreeLists(NamedTuple):
    """Free frames, arrays by node id but `next`.

    `free` counts frames, of 4 KiB.  `single` and `block` head lists of frames and of whole
    blocks, whose links stand in `next` (by PFN; NONE ends a list).  Blocks from `fresh` up
    to `end` have never been used; `part` is the next frame of the block being split, up to
    `part_end`.
    """

    free: npt.NDArray[np.int64]
    single: npt.NDArray[np.int64]
    block: npt.NDArray[np.int64]
    fresh: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    part_end: npt.NDArray[np.int64]
    next: npt.NDArray[np.int32]


def free_lists(pfns: int) -> FreeLists:
    """The lists of nodes without memory, for PFNs below `pfns`."""
    ids = NID_MAX + 1
    return FreeLists(
        free=np.zeros(ids, np.int64),
        single=np.full(ids, NONE, np.int64),
        block=np.full(ids, NONE, np.int64),
        fresh=np.zeros(ids, np.int64),
        end=np.zeros(ids, np.int64),
        part=np.zeros(ids, np.int64),
        part_end=np.zeros(ids, np.int64),
        next=np.zeros(pfns, np.int32),
    )


def add_frames(lists: FreeLists, nid: int, start_pfn: int, frames: int, free: int) -> None:
    """A node its frames, of which `free` may be used: whole blocks from `start_pfn`."""
    lists.fresh[nid] = start_pfn
    lists.end[nid] = start_pfn + frames // HUGE_PAGES * HUGE_PAGES
    lists.free[nid] = free


@cython.cclass
class Lists:
    """Pointers into a `FreeLists`, whose arrays are kept."""

    def __init__(self, arrays: FreeLists) -> None:
        """Take the pointers."""
        self.arrays = arrays
        self.free = i64(arrays.free)
        self.single = i64(arrays.single)
        self.block = i64(arrays.block)
        self.fresh = i64(arrays.fresh)
        self.end = i64(arrays.end)
        self.part = i64(arrays.part)
        self.part_end = i64(arrays.part_end)
        self.next = i32(arrays.next)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _take_block(lists: Lists, nid: cython.long) -> cython.long:
    """Take a whole block: its first PFN, NONE where there is none."""
    pfn: cython.long = lists.block[nid]
    if pfn != _NONE:
        lists.block[nid] = lists.next[pfn]
        return pfn
    pfn = lists.fresh[nid]
    if pfn == lists.end[nid]:
        return _NONE
    lists.fresh[nid] = pfn + _HUGE_PAGES
    return pfn


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _take_frame(lists: Lists, nid: cython.long) -> cython.long:
    """Take one frame: its PFN, NONE where there is none."""
    pfn: cython.long = lists.single[nid]
    if pfn != _NONE:
        lists.single[nid] = lists.next[pfn]
        return pfn
    if lists.part[nid] == lists.part_end[nid]:
        pfn = _take_block(lists, nid)
        if pfn == _NONE:
            return _NONE
        lists.part[nid] = pfn
        lists.part_end[nid] = pfn + _HUGE_PAGES
    pfn = lists.part[nid]
    lists.part[nid] = pfn + 1
    return pfn


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def take(lists: Lists, nid: cython.long, pages: cython.long) -> cython.long:
    """Take a folio of 1 or HUGE_PAGES pages: its first PFN, NONE where there is no room."""
    pfn: cython.long
    if lists.free[nid] < pages:
        return _NONE
    pfn = _take_frame(lists, nid) if pages == 1 else _take_block(lists, nid)
    if pfn != _NONE:
        lists.free[nid] -= pages
    return pfn


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def give_back(lists: Lists, nid: cython.long, pfn: cython.long, pages: cython.long) -> cython.void:
    """Free a folio that `take` allocated."""
    if pages == 1:
        lists.next[pfn] = lists.single[nid]
        lists.single[nid] = pfn
    else:
        lists.next[pfn] = lists.block[nid]
        lists.block[nid] = pfn
    lists.free[nid] += pages
