"""Files of /proc that are arrays of 64-bit entries, read for many indices at once.

pagemap, kpageflags and kpagecgroup have this shape (Documentation/admin-guide/mm/pagemap.rst):
entry i is at byte 8 * i, in the machine's byte order.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import types

from pghot.engine.jit import Loop, compiled
from pghot.engine.memory import BoolArray, U64Array
from pghot.linux.closing import Closing

ENTRY = 8
"""Bytes of an entry."""

GAP = 16
"""Entries that are read and thrown away rather than paying for another system call."""

LONGEST_READ = 1 << 16
"""Entries of one read: 512 KiB."""

LAST_OFFSET = (1 << 63) - 1

_pread: Loop = types.ExternalFunction(
    "pread", types.intp(types.intc, types.uintp, types.uintp, types.int64)
)
"""pread(2) of the C library, for compiled loops: a descriptor, an address, bytes, an offset."""


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
        indices = np.ascontiguousarray(indices, np.uint64)
        if np.all(indices[1:] > indices[:-1]):  # as most callers have them
            return self._gather(indices)
        wanted, inverse = np.unique(indices, return_inverse=True)
        values, there = self._gather(wanted)
        return values[inverse], there[inverse]

    def _gather(self, wanted: U64Array) -> tuple[U64Array, BoolArray]:
        """Give the entries at `wanted`, ascending without repeats, and which there were."""
        values = np.zeros(len(wanted), np.uint64)
        there = np.zeros(len(wanted), np.bool_)
        wanted = wanted[: np.searchsorted(wanted, np.uint64(LAST_OFFSET // ENTRY))]
        buffer = np.empty(_buffer_entries(wanted), np.uint64)
        at = 0
        while at < len(wanted):
            at = read_entries(self._descriptor, wanted, GAP, buffer, values, there, at)
            if at < len(wanted):  # a signal came, or an error, which only Python can name
                first, last = wanted[at], wanted[run_end(wanted, GAP, len(buffer), at) - 1]
                size = int(last - first + np.uint64(1)) * ENTRY
                os.pread(self._descriptor, size, int(first) * ENTRY)
        return values, there


def _buffer_entries(wanted: U64Array) -> int:
    """Give the entries that the longest read of these can have."""
    return min(LONGEST_READ, int(wanted[-1] - wanted[0]) + 1) if len(wanted) else 0


@compiled
def run_end(wanted: U64Array, gap: int, longest: int, at: int) -> int:
    """Give where the read that begins with the entry at `at` ends, in `wanted`.

    Neighbours not more than `gap` apart share a read, of `longest` entries at most.
    """
    first = wanted[at]
    at += 1
    while at < len(wanted) and wanted[at] - wanted[at - 1] <= gap and wanted[at] - first < longest:
        at += 1
    return at


@compiled
def read_entries(
    descriptor: int,
    wanted: U64Array,
    gap: int,
    buffer: U64Array,
    values: U64Array,
    there: npt.NDArray[np.bool_],
    at: int,
) -> int:
    """Read the entries `wanted` (ascending, no repeats) from the one at `at` on.

    No read is longer than `buffer`.  Gives how far it came: to the end, or to the first entry
    of a read that failed.
    """
    while at < len(wanted):
        first = wanted[at]
        end = run_end(wanted, gap, len(buffer), at)
        count = np.int64(wanted[end - 1] - first) + 1
        size = _pread(
            np.int32(descriptor), buffer.ctypes.data, count * ENTRY, np.int64(first) * ENTRY
        )
        if size < 0:
            return at
        while at < end:
            offset = np.int64(wanted[at] - first)
            if offset < size // ENTRY:
                values[at] = buffer[offset]
                there[at] = True
            at += 1
    return at
