"""Files of /proc that are arrays of 64-bit entries, read for many indices at once.

pagemap, kpageflags and kpagecgroup have this shape (Documentation/admin-guide/mm/pagemap.rst):
entry i is at byte 8 * i, in the machine's byte order.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cython
import numpy as np

from pghot.engine.memory import BoolArray, U64Array
from pghot.linux.closing import Closing

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u8, u64
    from cython.cimports.posix.unistd import pread
else:
    from pghot.engine.arrays import u8, u64

    def pread(descriptor: int, buffer: Any, size: int, offset: int) -> int:
        """Read bytes into `buffer`; the number that came, or -1, as of the C library's."""
        try:
            content = os.pread(descriptor, size, offset)
        except OSError:
            return -1
        buffer.cast("B")[: len(content)] = content
        return len(content)


ENTRY = 8
"""Bytes of an entry."""

GAP = 16
"""Entries that are read and thrown away rather than paying for another system call."""

LONGEST_READ = 1 << 16
"""Entries of one read: 512 KiB."""

LAST_OFFSET = (1 << 63) - 1

_ENTRY = cython.declare(cython.ulong, ENTRY)


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
        """The entries at `indices` (any order, repeats allowed), and which there were.

        An entry after the end of the file is 0 and not there.  OSError as pread gives it.
        """
        indices = np.ascontiguousarray(indices, np.uint64)
        if np.all(indices[1:] > indices[: max(len(indices) - 1, 0)]):  # as most callers have them
            return self._gather(indices)
        wanted, inverse = np.unique(indices, return_inverse=True)
        values, there = self._gather(wanted)
        return values[inverse], there[inverse]

    def _gather(self, wanted: U64Array) -> tuple[U64Array, BoolArray]:
        """The entries at `wanted`, ascending without repeats, and which there were."""
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
    """The entries that the longest read of these can have."""
    last: cython.long = len(wanted) - 1
    return min(LONGEST_READ, int(wanted[last] - wanted[0]) + 1) if last >= 0 else 0


def run_end(wanted: U64Array, gap: cython.ulong, longest: cython.ulong, at: cython.long) -> int:
    """Where the read that begins with the entry at `at` ends, in `wanted`.

    Neighbours not more than `gap` apart share a read, of `longest` entries at most.
    """
    entries: cython.p_ulong = u64(wanted)
    return _run_end(entries, len(wanted), gap, longest, at)


def read_entries(
    descriptor: cython.int,
    wanted: U64Array,
    gap: cython.ulong,
    buffer: U64Array,
    values: U64Array,
    there: BoolArray,
    at: cython.long,
) -> int:
    """Read the entries `wanted` (ascending, no repeats) from the one at `at` on.

    No read is longer than `buffer`.  Gives how far it came: to the end, or to the first entry
    of a read that failed.
    """
    entries: cython.p_ulong = u64(wanted)
    room: cython.p_ulong = u64(buffer)
    value_of: cython.p_ulong = u64(values)
    is_there: cython.p_uchar = u8(there)
    count: cython.long = len(wanted)
    longest: cython.ulong = len(buffer)
    first: cython.ulong
    offset: cython.ulong
    came: cython.ulong
    end: cython.long
    size: cython.long
    with cython.nogil:
        while at < count:
            first = entries[at]
            end = _run_end(entries, count, gap, longest, at)
            offset = entries[end - 1] - first
            size = pread(descriptor, room, (offset + 1) * _ENTRY, first * _ENTRY)
            if size < 0:
                break
            came = cython.cast(cython.ulong, size) // _ENTRY
            while at < end:
                offset = entries[at] - first
                if offset < came:
                    value_of[at] = room[offset]
                    is_there[at] = True
                at += 1
    return at


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _run_end(
    entries: cython.p_ulong,
    count: cython.long,
    gap: cython.ulong,
    longest: cython.ulong,
    at: cython.long,
) -> cython.long:
    first: cython.ulong = entries[at]
    at += 1
    while at < count and entries[at] - entries[at - 1] <= gap and entries[at] - first < longest:
        at += 1
    return at
