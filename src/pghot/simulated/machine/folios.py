"""Every folio of every region: which frames it has, and how it moves."""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8
    from cython.cimports.pghot.engine.pages import Pages, index_of, put_row
    from cython.cimports.pghot.simulated.machine.frames import Lists, give_back, take
else:
    from pghot.engine.arrays import i16, i32, i64, u8
    from pghot.engine.pages import Pages, index_of, put_row
    from pghot.simulated.machine.frames import Lists, give_back, take

Folios = npt.NDArray[np.int64]


class FolioArrays(NamedTuple):
    """Metadata of folios, by their number in the whole machine.

    `pfn`: first PFN, -1 before allocation.  `nid`: node, -1 before.  `pages` of the folio.
    `memcg`.  `flags`: of `page_flags`, that go with the folio wherever it moves.  `row`: the
    number of the row (`engine.page_kinds`) that its first frame gets.
    """

    pfn: npt.NDArray[np.int64]
    nid: npt.NDArray[np.int16]
    pages: npt.NDArray[np.int32]
    memcg: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]
    row: npt.NDArray[np.int32]


def no_folios() -> FolioArrays:
    """The arrays of a machine without regions."""
    return FolioArrays(
        np.zeros(0, np.int64),
        np.zeros(0, np.int16),
        np.zeros(0, np.int32),
        np.zeros(0, np.uint32),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int32),
    )


@cython.cclass
class _Frames:
    """What moving folios works on: page metadata, free lists, and folios by PFN.

    `free_row` and `tail_row`: rows of a free frame, and of a large folio's others.
    """

    pages: Pages
    lists: Lists
    folio_of: cython.p_int
    free_row: cython.int
    tail_row: cython.int


def move_folios(
    folios: Folios,
    nid: cython.long,
    reserve: cython.long,
    arrays: FolioArrays,
    pages: Pages,
    lists: Lists,
    folio_of: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
) -> npt.NDArray[np.bool_]:
    """Allocate frames of node `nid` for folios, in this order; which found room.

    The old frames, if any, are free then.  `reserve`: frames that must stay free there.
    `rows`: of a free frame, and of the frames of a large folio after its first.
    """
    found = np.zeros(len(folios), np.bool_)
    moved: cython.p_uchar = u8(found)
    wanted: cython.p_long = i64(folios)
    folio_pfn: cython.p_long = i64(arrays.pfn)
    folio_nid: cython.p_short = i16(arrays.nid)
    folio_pages: cython.p_int = i32(arrays.pages)
    folio_row: cython.p_int = i32(arrays.row)
    of_pfn: cython.p_int = i32(folio_of)
    count: cython.long = len(folios)
    frames: _Frames = _Frames()
    frames.pages = pages
    frames.lists = lists
    frames.free_row = rows[0]
    frames.tail_row = rows[1]
    folio: cython.long
    size: cython.long
    pfn: cython.long
    old: cython.long
    i: cython.long
    with cython.nogil:
        for i in range(count):
            folio = wanted[i]
            size = folio_pages[folio]
            if lists.free[nid] - size < reserve:
                continue
            pfn = take(lists, nid, size)
            if pfn < 0:
                continue
            old = folio_pfn[folio]
            if old >= 0:
                _clear_frames(frames, old, size)
                of_pfn[old] = -1
                give_back(lists, folio_nid[folio], old, size)
            _set_frames(frames, pfn, size, folio_row[folio])
            of_pfn[pfn] = folio
            folio_pfn[folio] = pfn
            folio_nid[folio] = nid
            moved[i] = True
    return found


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _set_frames(
    frames: _Frames, pfn: cython.long, size: cython.long, row: cython.int
) -> cython.void:
    """Write what a folio is at its frames."""
    head: cython.long = index_of(frames.pages, pfn)
    i: cython.long
    put_row(frames.pages, head, row)
    for i in range(1, size):  # a block never straddles sections
        put_row(frames.pages, head + i, frames.tail_row)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _clear_frames(frames: _Frames, pfn: cython.long, size: cython.long) -> cython.void:
    """Make frames free: unreferenced."""
    head: cython.long = index_of(frames.pages, pfn)
    i: cython.long
    for i in range(size):
        put_row(frames.pages, head + i, frames.free_row)
