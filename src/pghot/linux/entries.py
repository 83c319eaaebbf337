"""Files of /proc that are arrays of 64-bit entries, read for many indices at once.

pagemap, kpageflags and kpagecgroup have this shape (Documentation/admin-guide/mm/pagemap.rst):
entry i is at byte 8 * i, in the machine's byte order.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np

from pghot.engine.memory import BoolArray, U64Array
from pghot.linux.closing import Closing

ENTRY = 8
"""Bytes of an entry."""

GAP = 64
"""Entries that are read and thrown away rather than paying for another system call."""

LONGEST_READ = 1 << 16
"""Entries of one read: 512 KiB."""

LAST_OFFSET = (1 << 63) - 1


class EntryFile(Closing):
    """One such file, kept open."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the file; again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def gather(self, indices: U64Array) -> tuple[U64Array, BoolArray]:
        """Give the entries at `indices` (any order, repeats allowed), and which there were.

        An entry after the end of the file is 0 and not there.  OSError as pread gives it.
        """
        indices = np.asarray(indices, np.uint64)
        if np.all(indices[1:] > indices[:-1]):  # as most callers have them
            return self._gather(indices)
        wanted, inverse = np.unique(indices, return_inverse=True)
        values, there = self._gather(wanted)
        return values[inverse], there[inverse]

    def _gather(self, wanted: U64Array) -> tuple[U64Array, BoolArray]:
        """Give the entries at `wanted`, ascending without repeats, and which there were."""
        values = np.zeros(len(wanted), np.uint64)
        there = np.zeros(len(wanted), np.bool_)
        starts = _starts(wanted)
        for first, end in itertools.pairwise([*starts, len(wanted)]):
            run = wanted[first:end]
            entries = self._read(int(run[0]), int(run[-1]) + 1)
            offsets = run - run[0]
            got = int(np.searchsorted(offsets, len(entries)))
            values[first : first + got] = entries[offsets[:got]]
            there[first : first + got] = True
        return values, there

    def _read(self, first: int, end: int) -> U64Array:
        if end * ENTRY > LAST_OFFSET:
            return np.zeros(0, np.uint64)
        data = os.pread(self._descriptor, (end - first) * ENTRY, first * ENTRY)
        return np.frombuffer(data, np.uint64, len(data) // ENTRY)


def _starts(wanted: U64Array) -> list[int]:
    """Give where in `wanted` (ascending, no repeats) each read begins."""
    if not len(wanted):
        return []
    begins = np.ones(len(wanted), np.bool_)
    block = wanted // np.uint64(LONGEST_READ)
    begins[1:] = (np.diff(wanted) > GAP) | (block[1:] != block[:-1])
    starts: list[int] = np.flatnonzero(begins).tolist()
    return starts
