"""Moving folios where pages keep their PFN and a promotion changes their node (`ArrayMemory`)."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, u8, u64
    from cython.cimports.pghot.engine.pages import Pages, move_folio
    from cython.cimports.pghot.engine.pass_mover import PassMover
else:
    from pghot.engine.arrays import i32, u8, u64
    from pghot.engine.pages import Pages, move_folio
    from pghot.engine.pass_mover import PassMover


@cython.final
@cython.cclass
class ArrayMover(PassMover):  # type: ignore[misc]
    """Moves folios of a `MemMap`, as far as each finds free pages in its turn."""

    mem_map: Any
    rows: Any
    pages: Pages
    away: cython.p_int
    home: cython.p_int

    def __init__(self, frames: Any, mem_map: Any) -> None:
        """Move among `Frames` and the pages of a `MemMap`."""
        super().__init__(frames)
        self.mem_map = mem_map
        self.rows = None
        self.pages = mem_map.pages()

    def go_to(self, nid: cython.long) -> None:
        """Move what comes next to this node."""
        if self.rows is None or nid != self.nid:
            self.rows = self.mem_map.rows_on(nid)
            self.pages = self.mem_map.pages()
            self.away, self.home = i32(self.rows[0]), i32(self.rows[1])
        super().go_to(nid)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def move(self, pfn: cython.ulong) -> cython.long:
        """Move the folio that starts at `pfn`: its pages, 0 where it found no room."""
        return move_folio(self.pages, self.away, self.home, self.free, pfn, self.nid)

    def move_all(self, pfns: Any, moved: Any) -> None:
        """Move folios (u64) one after the other; `moved` (bool) says which found room."""
        pfn: cython.p_ulong = u64(pfns)
        went: cython.p_uchar = u8(moved)
        count: cython.long = len(pfns)
        i: cython.long
        with cython.nogil:
            for i in range(count):
                went[i] = self.move(pfn[i]) > 0
