"""A recorded access log as a stream: its rows in order, each one access."""

from __future__ import annotations

from math import ceil, floor

import cython
import numpy as np
import numpy.typing as npt

from pghot.workloads.log_rows import LogRows, Rows, window
from pghot.workloads.row_nodes import RowNodes
from pghot.workloads.stream import NEVER, Clocks, Folios, Nids, ProtNoneTouches

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f64, i32, i64, u64
else:
    from pghot.engine.arrays import f64, i32, i64, u64

MOST_HELD = 1 << 22
"""Rows that wait to be gone through, where the log is not in memory anyway."""


_NONE = ProtNoneTouches(np.empty(0, np.int64), np.empty(0))


class LoggedStream:
    """Row k, counted from 1, takes the clock from k - 1 to k and happens at k.

    Times, nodes and weights of the rows are not used: how fast accesses follow each other
    is the machine's to say.  A stream that `wraps` begins anew after the last row; one that
    does not has no access after `end_clock`, and goes on as if at its last row.
    """

    def __init__(self, rows: LogRows, folios: int, *, wraps: bool = True) -> None:
        self.folios = folios
        self.end_clock = NEVER if wraps else float(rows.rows)
        self._share = rows.counts / rows.rows
        self._window = window(rows, wraps=wraps)
        self._nodes = RowNodes(folios, self._window)
        self._last = np.zeros(folios, np.int64)
        """Number of each folio's last row of those noted; 0 where there is none."""
        self._prot_none = np.zeros(-(-folios // 64), np.uint64)
        self._left = 0
        self._noted = 0
        self._touched: list[ProtNoneTouches] = []

    def place(self, nid: Nids) -> None:
        """Take note of the node of every folio (`Stream`)."""
        self._nodes.place(nid)

    def moved(self, folios: Folios, from_nid: Nids, to_nid: int) -> None:  # noqa: ARG002
        """Take note that folios are on `to_nid` now (`Stream`)."""
        self._nodes.moved(folios, to_nid)

    def shares(self, start: float, end: float) -> npt.NDArray[np.float64]:
        """Count the rows in (start, end], a row under way by its part.

        Where `end` is `start`, the share is that of the next row (`Stream`).
        """
        end = min(end, self.end_clock)
        start = min(start, max(end - 1, 0)) if start >= self.end_clock else start
        first = floor(start)
        last = max(ceil(end), first + 1)
        if self._window.held > MOST_HELD:
            self._note(first)
            self._window.forget(first)
        spent = self._nodes.counts(first + 1, last).astype(np.float64)
        if last == first + 1:
            return spent
        spent[self._nodes.of(first + 1)] -= start - first
        spent[self._nodes.of(last)] -= last - end
        return spent / (end - start)

    def make_prot_none(self, folios: Folios, clock: float) -> None:
        """Have the next access of each folio after `clock` noticed (`Stream`)."""
        self._note(floor(clock))
        self._left += _set_bits(self._prot_none, np.ascontiguousarray(folios))

    def end_prot_none(self, folios: Folios) -> None:
        """Notice the next access of these no longer (`Stream`)."""
        if self._left:
            self._left -= _clear_bits(self._prot_none, np.ascontiguousarray(folios))

    def advance(self, start: float, end: float) -> ProtNoneTouches:
        """The prot_none folios that the rows up to `end` take (`Stream`)."""
        self._window.forget(min(floor(start), self._noted))
        self._note(floor(end))
        pieces = self._touched or [_NONE]
        self._touched = []
        if len(pieces) == 1:
            return pieces[0]
        return ProtNoneTouches(*(np.concatenate(column) for column in zip(*pieces, strict=True)))

    def _note(self, last: int) -> None:
        """Go through the rows up to `last` that have not been gone through."""
        rows = self._window.between(self._noted + 1, last)
        room = min(self._left, len(rows))
        touched = ProtNoneTouches(np.empty(room, np.int64), np.empty(room))
        found = _go_through(rows, self._noted, self._last, self._prot_none, touched)
        self._noted += len(rows)
        self._left -= found
        if found:
            self._touched.append(ProtNoneTouches(touched.folios[:found], touched.clocks[:found]))

    def draw(self, clocks: Clocks) -> Folios:
        """The folio of the row that takes each clock (`Stream`)."""
        number = np.ceil(np.clip(clocks, 1, self.end_clock)).astype(np.int64)
        if not len(number):
            return number
        first = int(number.min())
        rows = self._window.between(first, int(number.max()))
        return rows[number - first].astype(np.int64)

    def seen(self, folios: Folios, since: Clocks, clock: float) -> npt.NDArray[np.bool_]:
        """Which folios had a row after `since`, up to `clock` (`Stream`)."""
        self._note(floor(clock))
        return self._last[folios] > since

    def weights(self) -> npt.NDArray[np.float64]:
        """The share of each folio in the whole log (`Stream`)."""
        return self._share.copy()

    def next_change(self) -> float:
        """NEVER: a log is one phase (`Stream`)."""
        return NEVER

    def change(self, clock: float) -> None:
        """Do nothing: there is one phase (`Stream`)."""


def _go_through(
    rows: Rows,
    before: cython.long,
    last: npt.NDArray[np.int64],
    prot_none: npt.NDArray[np.uint64],
    touched: ProtNoneTouches,
) -> int:
    """Note each row as its folio's last, end prot_none: how many folios were.

    `before` is the number of the row before the first.  Marks are bits: a cache holds
    them all, and the numbers of last rows are written only, never waited for.
    """
    row: cython.p_int = i32(rows)
    last_of: cython.p_long = i64(last)
    bits: cython.p_ulong = u64(prot_none)
    folios: cython.p_long = i64(touched.folios)
    clocks: cython.p_double = f64(touched.clocks)
    length: cython.long = len(rows)
    found: cython.long = 0
    folio: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(length):
            folio = row[i]
            if bits[folio >> 6] >> (folio & 63) & 1:
                bits[folio >> 6] ^= cython.cast(cython.ulong, 1) << (folio & 63)
                folios[found] = folio
                clocks[found] = before + i + 1
                found += 1
            last_of[folio] = before + i + 1
    return found


def _set_bits(prot_none: npt.NDArray[np.uint64], folios: Folios) -> int:
    """Make folios prot_none: how many were not yet."""
    bits: cython.p_ulong = u64(prot_none)
    folio: cython.p_long = i64(folios)
    count: cython.long = len(folios)
    fresh: cython.long = 0
    bit: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(count):
            bit = cython.cast(cython.ulong, 1) << (folio[i] & 63)
            if not bits[folio[i] >> 6] & bit:
                bits[folio[i] >> 6] |= bit
                fresh += 1
    return fresh


def _clear_bits(prot_none: npt.NDArray[np.uint64], folios: Folios) -> int:
    """End prot_none: how many were."""
    bits: cython.p_ulong = u64(prot_none)
    folio: cython.p_long = i64(folios)
    count: cython.long = len(folios)
    taken: cython.long = 0
    bit: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(count):
            bit = cython.cast(cython.ulong, 1) << (folio[i] & 63)
            if bits[folio[i] >> 6] & bit:
                bits[folio[i] >> 6] ^= bit
                taken += 1
    return taken
