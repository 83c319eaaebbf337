"""How many rows of a log go to which node, as their folios are placed now."""

from __future__ import annotations

from typing import Any

import cython
import numpy as np
import numpy.typing as npt

from pghot.workloads.log_rows import LogWindow, Rows
from pghot.workloads.stream import Folios, Nids

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64, u8
else:
    from pghot.engine.arrays import i32, i64, u8

BYTE_IDS = 256
"""Node ids below it fit a byte: those of nearly all machines."""

Counts = npt.NDArray[np.int64]


class RowNodes:
    """The node of each folio, and counts of a window's rows by node.

    The rows of a step are asked for as foreseen and again as they came.  Both begin at the
    same row, so the second count goes on from the first, unless folios have moved.
    """

    def __init__(self, folios: int, window: LogWindow) -> None:
        self._window = window
        self._nid: npt.NDArray[Any] = np.zeros(folios, np.uint8)
        self._nodes = 1
        self._first = self._last = 0
        self._counts: Counts = np.zeros(1, np.int64)

    def place(self, nid: Nids) -> None:
        """Take the node of every folio."""
        self._nodes = int(nid.max()) + 1
        self._nid = nid.astype(np.uint8 if self._nodes <= BYTE_IDS else np.int16)
        self._first = 0

    def moved(self, folios: Folios, to_nid: int) -> None:
        """Take note that folios are on `to_nid` now."""
        self._nodes = max(self._nodes, to_nid + 1)
        if self._nodes > BYTE_IDS:
            self._nid = self._nid.astype(np.int16, copy=False)
        self._nid[folios] = to_nid
        self._first = 0

    def of(self, row: int) -> int:
        """The node that a row goes to."""
        return int(self._nid[self._window.between(row, row)[0]])

    def counts(self, first: int, last: int) -> Counts:
        """Rows first .. last by node id: an array of the caller's."""
        if first != self._first or self._last - last > last - first:
            self._first, self._last = first, first - 1
            self._counts = np.zeros(self._nodes, np.int64)
        if last > self._last:
            self._counts += self._count(self._window.between(self._last + 1, last))
        elif last < self._last:
            self._counts -= self._count(self._window.between(last + 1, self._last))
        self._last = last
        return self._counts.copy()

    def _count(self, rows: Rows) -> Counts:
        if self._nodes > BYTE_IDS:
            return np.bincount(self._nid[rows], minlength=self._nodes)
        counts = np.zeros((4, BYTE_IDS), np.int64)
        _count(rows, self._nid, counts)
        return counts.sum(axis=0)[: self._nodes]


def _count(rows: Rows, nid: npt.NDArray[np.uint8], counts: Counts) -> None:
    """Count rows by the node of their folio, four at a time: a count waits for the one before."""
    row: cython.p_int = i32(rows)
    node: cython.p_uchar = u8(nid)
    count: cython.p_long = i64(counts.reshape(-1))
    width: cython.long = counts.shape[1]
    length: cython.long = len(rows)
    i: cython.long = 0
    with cython.nogil:
        while i + 4 <= length:
            count[node[row[i]]] += 1
            count[width + node[row[i + 1]]] += 1
            count[2 * width + node[row[i + 2]]] += 1
            count[3 * width + node[row[i + 3]]] += 1
            i += 4
        while i < length:
            count[node[row[i]]] += 1
            i += 1
