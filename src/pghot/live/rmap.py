"""Who maps a page: of the pages that became ready last, the process and the address."""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64, prefetch, u64
else:
    from pghot.engine.arrays import i32, i64, prefetch, u64

Indices = npt.NDArray[np.int64]

WAYS = 8
"""Pages of a set."""

SET_BYTES = 16 * WAYS
LEAST_SETS = 8
"""Sets of a table that is new: 1 KiB."""

LEAST_MOST = 1 << 13
"""Sets that the smallest machine has room for: 1 MiB, 65,536 owners.  After a scan thousands of
pages become ready at once."""

_INDEX_BITS = 42
_WAYS = cython.declare(cython.long, WAYS)
_SET_WORDS = cython.declare(cython.ulong, 2 * WAYS)
_PID_SHIFT = cython.declare(cython.int, _INDEX_BITS)
_PID_MASK = cython.declare(cython.ulong, (1 << 64 - _INDEX_BITS) - 1)
_KEY_MASK = cython.declare(cython.ulong, (1 << _INDEX_BITS) - 1)
_MIX = cython.declare(cython.ulong, 0x9E37_79B9_7F4A_7C15)  # 2^64 over the golden ratio
_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)
_AHEAD = cython.declare(cython.long, 12)  # rows from a prefetch to its use


class Owner(NamedTuple):
    """Of each page: a pid (0: nobody known) and the address it has there, page-aligned."""

    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]


class Rmap:
    """The last process seen at each page, by its index in the engine's arrays.

    A table of at most a quarter of a byte for each of `pages`, which is an owner for every 64th
    to 128th of them, or of `least` sets: those that wait for room or for their turn.  Where it
    is full, a page is let go for another: of those in the same set, the one accessed least
    recently.  Its next access brings its owner back.

    An index hashes to a set of WAYS entries, the one accessed last in front.  An entry is two
    words: index + 1 with the pid above it, and the address; zeros are no entry.  The table
    doubles in index, set n falling into n and n + sets, so that it takes memory from its
    front on, and some 128 to 256 bytes an owner until it is as large as it may be.  Indices
    are below 2^42 - 1 (16 PiB), pids as the kernel's below 2^22.
    """

    def __init__(self, pages: int, least: int = LEAST_MOST) -> None:
        self.kept = 0
        """Pages that have an owner now."""

        self.let_go = 0
        """Owners that made room for others so far."""

        self._sets, self._most = LEAST_SETS, least
        self._table: npt.NDArray[np.uint64] = np.zeros(least * SET_BYTES // 8, np.uint64)
        self.grow(pages)

    @property
    def nbytes(self) -> int:
        """Bytes of the table that are in use."""
        return self._sets * SET_BYTES

    def grow(self, pages: int) -> None:
        """Make room for a machine that has so many pages by now."""
        most = self._most
        while 8 * most * SET_BYTES <= pages:
            most *= 2
        if most > self._most:
            table = np.zeros(most * SET_BYTES // 8, np.uint64)
            used = self.nbytes // 8
            table[:used] = self._table[:used]
            self._table, self._most = table, most

    def see(
        self, indices: Indices, pids: npt.NDArray[np.int32], vaddrs: npt.NDArray[np.uint64]
    ) -> None:
        """Remember who accessed; of several accesses to a page the last counts."""
        accesses = MappedAccesses(indices, pids, vaddrs)
        row = 0
        while row < len(indices):
            # A set overflows early where there are many; a table as sparse stays as it is.
            spare = len(indices) if self._sets == self._most else self._sets - self.kept
            row, kept, let_go = see(self._table, self._sets, accesses, row, spare)
            self.kept += kept
            self.let_go += let_go
            if row < len(indices):
                split(self._table, self._sets)
                self._sets *= 2

    def forget(self, indices: Indices) -> None:
        """Let go of pages that have moved: their owners would take the room of others."""
        self.kept -= forget(self._table, self._sets, indices)

    def of(self, indices: Indices) -> Owner:
        """The owners of pages."""
        owner = Owner(np.zeros(len(indices), np.int32), np.zeros(len(indices), np.uint64))
        look_up(self._table, self._sets, indices, owner)
        return owner


class MappedAccesses(NamedTuple):
    """Of each access: the page's index, the pid and the page-aligned address."""

    page_index: Indices
    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def first_word(key: cython.ulong, sets: cython.ulong) -> cython.ulong:
    """Where the set of an index (`key` - 1) begins, of so many sets (a power of two)."""
    mixed: cython.ulong = (key * _MIX) & _U64
    mixed = ((mixed ^ (mixed >> 32)) * _MIX) & _U64
    return ((mixed ^ (mixed >> 32)) & (sets - 1)) * _SET_WORDS


def see(
    table: npt.NDArray[np.uint64],
    sets: cython.ulong,
    accesses: MappedAccesses,
    row: cython.long,
    spare: cython.long,
) -> tuple[int, int, int]:
    """Take in accesses from `row` on, until the table should be split.

    That is where a set is full and the table has `spare` owners more than before; until then
    the last of a full set makes room.  Gives the row that is next, how many owners more
    there are, and how many were let go.
    """
    words: cython.p_ulong = u64(table)
    index: cython.p_long = i64(accesses.page_index)
    pid: cython.p_int = i32(accesses.pid)
    vaddr: cython.p_ulong = u64(accesses.vaddr)
    rows: cython.long = len(accesses.page_index)
    kept: cython.long = 0
    let_go: cython.long = 0
    ahead: cython.ulong
    key: cython.ulong
    at: cython.ulong
    way: cython.long
    with cython.nogil:
        while row < rows:
            if row + _AHEAD < rows:
                ahead = cython.cast(cython.ulong, index[row + _AHEAD]) + 1
                prefetch(words, first_word(ahead, sets), 8)
            key = cython.cast(cython.ulong, index[row]) + 1
            at = first_word(key, sets)
            way = 0
            while way < _WAYS and words[at] and (words[at] & _KEY_MASK) != key:
                at += 2
                way += 1
            if way == _WAYS:
                if kept >= spare:
                    break
                let_go += 1
                way -= 1
                at -= 2
            elif not words[at]:
                kept += 1
            while way > 0:
                words[at] = words[at - 2]
                words[at + 1] = words[at - 1]
                at -= 2
                way -= 1
            words[at] = key | ((cython.cast(cython.ulong, pid[row]) & _PID_MASK) << _PID_SHIFT)
            words[at + 1] = vaddr[row]
            row += 1
    return row, kept, let_go


def forget(table: npt.NDArray[np.uint64], sets: cython.ulong, indices: Indices) -> int:
    """Take the entries of pages out of their sets; how many there were."""
    words: cython.p_ulong = u64(table)
    index: cython.p_long = i64(indices)
    rows: cython.long = len(indices)
    gone: cython.long = 0
    key: cython.ulong
    at: cython.ulong
    end: cython.ulong
    row: cython.long
    with cython.nogil:
        for row in range(rows):
            key = cython.cast(cython.ulong, index[row]) + 1
            at = first_word(key, sets)
            end = at + _SET_WORDS
            while at < end and words[at] and (words[at] & _KEY_MASK) != key:
                at += 2
            if at == end or not words[at]:
                continue
            gone += 1
            while at + 2 < end and words[at + 2]:
                words[at] = words[at + 2]
                words[at + 1] = words[at + 3]
                at += 2
            words[at] = words[at + 1] = 0
    return gone


def split(table: npt.NDArray[np.uint64], sets: cython.ulong) -> None:
    """Spread the entries of so many sets over twice as many, their order kept."""
    words: cython.p_ulong = u64(table)
    low: cython.ulong
    high: cython.ulong
    at: cython.ulong
    end: cython.ulong
    first: cython.ulong
    half: cython.ulong = sets * _SET_WORDS
    with cython.nogil:
        first = 0
        while first < half:
            low = first
            high = first + half
            end = first + _SET_WORDS
            at = first
            while at < end and words[at]:
                if first_word(words[at] & _KEY_MASK, 2 * sets) == first:
                    words[low] = words[at]
                    words[low + 1] = words[at + 1]
                    low += 2
                else:
                    words[high] = words[at]
                    words[high + 1] = words[at + 1]
                    high += 2
                at += 2
            while low < at:
                words[low] = words[low + 1] = 0
                low += 2
            first = end


def look_up(
    table: npt.NDArray[np.uint64], sets: cython.ulong, indices: Indices, owner: Owner
) -> None:
    """Write the owners of pages, where they have one."""
    words: cython.p_ulong = u64(table)
    index: cython.p_long = i64(indices)
    pid: cython.p_int = i32(owner.pid)
    vaddr: cython.p_ulong = u64(owner.vaddr)
    rows: cython.long = len(indices)
    row: cython.long
    way: cython.long
    ahead: cython.ulong
    key: cython.ulong
    at: cython.ulong
    with cython.nogil:
        for row in range(rows):
            if row + _AHEAD < rows:
                ahead = cython.cast(cython.ulong, index[row + _AHEAD]) + 1
                prefetch(words, first_word(ahead, sets), 8)
            key = cython.cast(cython.ulong, index[row]) + 1
            at = first_word(key, sets)
            way = 0
            while way < _WAYS and words[at]:
                if (words[at] & _KEY_MASK) == key:
                    pid[row] = words[at] >> _PID_SHIFT
                    vaddr[row] = words[at + 1]
                    break
                at += 2
                way += 1
