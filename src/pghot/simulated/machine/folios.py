"""Every folio of every region: which frames it has, and how it moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, prefetch, u8
    from cython.cimports.pghot.engine.pages import Pages, index_of, put_row
    from cython.cimports.pghot.engine.pass_mover import PassMover
    from cython.cimports.pghot.simulated.machine.frames import Lists, give_back, take
else:
    from pghot.engine.arrays import i16, i32, i64, prefetch, u8
    from pghot.engine.pages import Pages, index_of, put_row
    from pghot.engine.pass_mover import PassMover
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


@cython.final
@cython.cclass
class Placement:
    """Where folios are, for loops: arrays of folios, page metadata, free lists, folios by PFN.

    Pointers hold until folios or sections are added.
    """

    kept: object
    pages: Pages
    lists: Lists
    folio_pfn: cython.p_long
    folio_nid: cython.p_short
    folio_pages: cython.p_int
    folio_row: cython.p_int
    folio_of: cython.p_int
    free_row: cython.int
    tail_row: cython.int

    def __init__(
        self, arrays: FolioArrays, pages: Pages, lists: Lists, folio_of: Any, rows: Any
    ) -> None:
        """Take pointers from the arrays, which are kept.

        `folio_of` (i32): the folio by its first PFN.  `rows`: of a free frame, and of the frames
        of a large folio after its first.
        """
        self.kept = (arrays, folio_of)
        self.pages, self.lists = pages, lists
        self.folio_pfn, self.folio_nid = i64(arrays.pfn), i16(arrays.nid)
        self.folio_pages, self.folio_row = i32(arrays.pages), i32(arrays.row)
        self.folio_of = i32(folio_of)
        self.free_row, self.tail_row = rows[0], rows[1]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def move(self, folio: cython.long, nid: cython.long, reserve: cython.long) -> cython.bint:
        """Allocate frames of a node for a folio while more than `reserve` stay free there.

        Its old frames, if any, are free then.
        """
        size: cython.long = self.folio_pages[folio]
        old: cython.long = self.folio_pfn[folio]
        pfn: cython.long
        if self.lists.free[nid] - size < reserve:
            return False
        pfn = take(self.lists, nid, size)
        if pfn < 0:
            return False
        if old >= 0:
            self.clear_frames(old, size)
            self.folio_of[old] = -1
            give_back(self.lists, self.folio_nid[folio], old, size)
        self.set_frames(pfn, size, self.folio_row[folio])
        self.folio_of[pfn] = folio
        self.folio_pfn[folio] = pfn
        self.folio_nid[folio] = nid
        return True

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def set_frames(self, pfn: cython.long, size: cython.long, row: cython.int) -> cython.void:
        """Write what a folio is at its frames."""
        head: cython.long = index_of(self.pages, pfn)
        i: cython.long
        put_row(self.pages, head, row)
        for i in range(1, size):  # a block never straddles sections
            put_row(self.pages, head + i, self.tail_row)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def clear_frames(self, pfn: cython.long, size: cython.long) -> cython.void:
        """Make frames free: unreferenced."""
        head: cython.long = index_of(self.pages, pfn)
        i: cython.long
        for i in range(size):
            put_row(self.pages, head + i, self.free_row)


def move_folios(
    folios: Folios, nid: cython.long, reserve: cython.long, placement: Placement
) -> npt.NDArray[np.bool_]:
    """Allocate frames of node `nid` for folios, in this order; which found room.

    `reserve`: frames that must stay free there.
    """
    found = np.zeros(len(folios), np.bool_)
    moved: cython.p_uchar = u8(found)
    wanted: cython.p_long = i64(folios)
    count: cython.long = len(folios)
    i: cython.long
    with cython.nogil:
        for i in range(count):
            moved[i] = placement.move(wanted[i], nid, reserve)
    return found


class FolioMoves(NamedTuple):
    """Folios that moved, in this order: their numbers, the node of each before, and now."""

    folios: Folios
    from_nid: npt.NDArray[np.int16]
    to_nid: npt.NDArray[np.int16]


@cython.final
@cython.cclass
class FolioMover(PassMover):  # type: ignore[misc]
    """Moves the folios of a pass, and notes which: `told` gets the `FolioMoves` at its end."""

    placement: Placement
    told: Any
    noted: Any
    folios: cython.p_long
    from_nids: cython.p_short
    to_nids: cython.p_short
    reserve: cython.p_long
    count: cython.long

    def __init__(
        self, frames: Any, reserve: Any, placement: Placement, most: int, told: Any
    ) -> None:
        """`reserve` (i64): frames that stay free, by node; at most `most` folios will move."""
        super().__init__(frames)
        self.placement = placement
        self.told = told
        nids = (np.empty(most, np.int16), np.empty(most, np.int16))
        self.noted = (FolioMoves(np.empty(most, np.int64), *nids), reserve)
        self.folios = i64(self.noted[0].folios)
        self.from_nids, self.to_nids = i16(nids[0]), i16(nids[1])
        self.reserve = i64(reserve)
        self.count = 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def expect(self, pfn: cython.ulong) -> cython.void:
        """Ask for the rows of a folio: folios are in any order."""
        folio: cython.long = self.placement.folio_of[pfn]
        prefetch(self.placement.folio_pfn, folio, 8)
        prefetch(self.placement.folio_nid, folio, 2)
        prefetch(self.placement.folio_pages, folio, 4)
        prefetch(self.placement.folio_row, folio, 4)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def move(self, pfn: cython.ulong) -> cython.long:
        """Move the folio that starts at `pfn`: its pages, 0 where it found no room."""
        folio: cython.long = self.placement.folio_of[pfn]
        self.from_nids[self.count] = self.placement.folio_nid[folio]
        if not self.placement.move(folio, self.nid, self.reserve[self.nid]):
            return 0
        self.folios[self.count] = folio
        self.to_nids[self.count] = self.nid
        self.count += 1
        return self.placement.folio_pages[folio]

    def ended(self) -> None:
        """Tell of the moves."""
        self.told(FolioMoves(*(column[: self.count] for column in self.noted[0])))
