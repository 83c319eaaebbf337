"""The kinds of pages there are: rows that pages share, and rows of odd pages."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.page_flags import COMPOUND, MOVED, ODD, OFFLINE, SHARED_ROWS


class PageKind(NamedTuple):
    """Metadata of a page.

    `nid` counts where `flags` have MOVED.  `pages`: the folio's size at its first page; at
    another minus that size, in an odd row minus the distance to the first.
    """

    flags: int = 0
    nid: int = 0
    pages: int = 1
    memcg: int = 0
    odd: bool = False

    def moved_to(self, nid: int) -> PageKind:
        """The row on a node that is not its section's."""
        return self._replace(flags=self.flags | MOVED, nid=nid)

    def of_memcg(self, memcg: int) -> PageKind:
        """The row in a memcg."""
        return self._replace(memcg=memcg)

    def not_online(self) -> PageKind:
        """The row of no memory."""
        return self._replace(flags=self.flags | OFFLINE)

    def in_folio(self, pages: int) -> PageKind:
        """The row in an aligned folio: of its first page, or with minus its size of another."""
        return self._replace(flags=self.flags | COMPOUND, pages=pages)

    def at_home(self) -> PageKind:
        """The row on its section's own node."""
        return self._replace(flags=self.flags & ~MOVED, nid=0)


class Kinds:
    """Rows by number: 0 is an ordinary page; arrays `flags`, `nid`, `pages`, `memcg`."""

    def __init__(self) -> None:
        self.flags: npt.NDArray[np.uint8] = np.zeros(SHARED_ROWS, np.uint8)
        self.nid: npt.NDArray[np.int16] = np.zeros(SHARED_ROWS, np.int16)
        self.pages: npt.NDArray[np.int32] = np.zeros(SHARED_ROWS, np.int32)
        self.memcg: npt.NDArray[np.uint32] = np.zeros(SHARED_ROWS, np.uint32)
        self.odd_index: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.changed = False
        """Whether an array was replaced since this was last made False."""
        self._numbers: dict[PageKind, int] = {}
        self._moves: dict[int, _Moves] = {}
        self.number(PageKind())

    @property
    def count(self) -> int:
        """Shared rows there are."""
        return len(self._numbers)

    @property
    def all_single(self) -> bool:
        """Whether no folio of more than one page was ever there."""
        return not len(self.odd_index) and bool((self.pages[: self.count] == 1).all())

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Flags, nid, pages and memcg by row, and the indices of odd pages, ascending."""
        return self.flags, self.nid, self.pages, self.memcg, self.odd_index

    def row(self, number: int) -> PageKind:
        """The row of a number."""
        return PageKind(
            int(self.flags[number]),
            int(self.nid[number]),
            int(self.pages[number]),
            int(self.memcg[number]),
            number >= SHARED_ROWS,
        )

    def number(self, row: PageKind) -> int:
        """Number of a shared row; a new one where there is none yet."""
        known = self._numbers.get(row)
        if known is not None:
            return known
        number = len(self._numbers)
        if number == ODD:
            raise ValueError(f"pages of more than {number} kinds (flags, size, memcg, node)")
        self._numbers[row] = number
        self._write(number, row)
        return number

    def moved_to(self, nid: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """By shared row, the row of such a folio on `nid`: as a foreign node, as its own."""
        moves = self._moves.get(nid)
        if moves is None:
            moves = self._moves[nid] = _Moves()
        while moves.filled < self.count:
            number = moves.filled
            row = self.row(number)
            if row.pages > 0:
                moves.away[number] = self.number(row.moved_to(nid))
                moves.home[number] = self.number(row.at_home())
            moves.filled += 1
        return moves.away, moves.home

    def odd_rows(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Rows of odd pages."""
        return SHARED_ROWS + np.searchsorted(self.odd_index, indices)

    def put_odd(self, indices: npt.NDArray[np.int64], rows: list[PageKind]) -> None:
        """Write rows of their own for pages, new ones where they have none."""
        fresh = np.setdiff1d(indices, self.odd_index)
        if len(fresh):
            at = np.searchsorted(self.odd_index, fresh)
            self.odd_index = np.insert(self.odd_index, at, fresh)
            self._replace([np.insert(part, SHARED_ROWS + at, 0) for part in self._by_row()])
        for number, row in zip(self.odd_rows(indices).tolist(), rows, strict=True):
            self._write(number, row)

    def drop_odd(self, indices: npt.NDArray[np.int64]) -> None:
        """Take the rows of their own from pages; those that have none stay as they are."""
        at = np.flatnonzero(np.isin(self.odd_index, indices))
        if len(at):
            self.odd_index = np.delete(self.odd_index, at)
            self._replace([np.delete(part, SHARED_ROWS + at) for part in self._by_row()])

    def _by_row(self) -> tuple[npt.NDArray[Any], ...]:
        return self.flags, self.nid, self.pages, self.memcg

    def _replace(self, parts: list[npt.NDArray[Any]]) -> None:
        self.flags, self.nid, self.pages, self.memcg = parts
        self.changed = True

    def _write(self, number: int, row: PageKind) -> None:
        self.flags[number] = row.flags
        self.nid[number] = row.nid
        self.pages[number] = row.pages
        self.memcg[number] = row.memcg


class _Moves:
    """Rows by row on another node, as far as they are worked out."""

    def __init__(self) -> None:
        self.away: npt.NDArray[np.int32] = np.zeros(SHARED_ROWS, np.int32)
        self.home: npt.NDArray[np.int32] = np.zeros(SHARED_ROWS, np.int32)
        self.filled = 0
