"""A fact, or two, of each of the pages that were seen last, in bounded memory.

For what few pages need: those that are ready, which wait for room or for their turn.
"""

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
Tags = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

WAYS = 8
"""Pages of a set."""

PAGES_A_SET = 1024
"""A table has at most a set for so many pages, and half as many at least."""

LEAST_SETS = 8
"""Sets of a table that is new."""

LEAST_MOST = 1 << 13
"""Sets that the smallest machine has room for: 65,536 pages.  After a scan thousands become
ready at once."""

TAG_BITS = 22
"""Tags are from 1 to 2^22 - 1, as the kernel's pids."""

_INDEX_BITS = 64 - TAG_BITS
_NO_WORDS = np.zeros(0, np.uint64)
_WAYS = cython.declare(cython.long, WAYS)
_TAG_SHIFT = cython.declare(cython.int, _INDEX_BITS)
_TAG_MASK = cython.declare(cython.ulong, (1 << TAG_BITS) - 1)
_KEY_MASK = cython.declare(cython.ulong, (1 << _INDEX_BITS) - 1)
_MIX = cython.declare(cython.ulong, 0x9E37_79B9_7F4A_7C15)  # 2^64 over the golden ratio
_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)
_AHEAD = cython.declare(cython.long, 12)  # rows from a prefetch to its use


class Facts(NamedTuple):
    """Of each page its index, a tag (0: nothing is known), and a word where there are words."""

    page_index: Indices
    tag: Tags
    word: Words


class Sets(NamedTuple):
    """The words of a table: so many sets (a power of two) of entries of `stride` words."""

    table: Words
    sets: int
    stride: int


class RecentPages:
    """Facts by a page's index in the engine's arrays.

    A table of an entry for every 128th to 256th of `pages`, or of `least` sets.  Where it is full,
    a page is let go for another: of those in the same set, the one seen least recently.

    An index hashes to a set of WAYS entries, the one seen last in front.  An entry is index + 1
    with the tag above it, and a word more `with_words`; zeros are no entry.  The table doubles in
    index, set n falling into n and n + sets, so that it takes memory from its front on, and some
    64 to 128 bytes an entry (twice that with words) until it is as large as it may be.  Indices
    are below 2^42 - 1 (16 PiB).
    """

    def __init__(self, pages: int, least: int = LEAST_MOST, *, with_words: bool) -> None:
        self.kept = 0
        """Pages of which something is known now."""

        self.let_go = 0
        """Pages that made room for others so far."""

        self._stride = 1 + with_words
        self._sets, self._most = LEAST_SETS, least
        self._table: Words = np.zeros(least * WAYS * self._stride, np.uint64)
        self.grow(pages)

    @property
    def nbytes(self) -> int:
        """Bytes of the table that are in use."""
        return self._sets * WAYS * self._stride * self._table.itemsize

    def grow(self, pages: int) -> None:
        """Make room for a machine that has so many pages by now."""
        most = self._most
        while 2 * most * PAGES_A_SET <= pages:
            most *= 2
        if most > self._most:
            table = np.zeros(most * WAYS * self._stride, np.uint64)
            used = self._sets * WAYS * self._stride
            table[:used] = self._table[:used]
            self._table, self._most = table, most

    def see(self, indices: Indices, tags: Tags, words: Words = _NO_WORDS) -> None:
        """Remember facts, with `words` where the table has them; a page's last ones count."""
        facts = Facts(indices, tags, words)
        row = 0
        while row < len(indices):
            # A set overflows early where there are many; a table as sparse stays as it is.
            spare = len(indices) if self._sets == self._most else self._sets - self.kept
            row, kept, let_go = see(self._in_use(), facts, row, spare)
            self.kept += kept
            self.let_go += let_go
            if row < len(indices):
                split(self._in_use())
                self._sets *= 2

    def forget(self, indices: Indices) -> None:
        """Let go of pages that need no fact any more: they would take the room of others."""
        self.kept -= forget(self._in_use(), indices)

    def of(self, indices: Indices) -> Facts:
        """What is known of pages."""
        words = np.zeros(len(indices), np.uint64) if self._stride > 1 else _NO_WORDS
        facts = Facts(indices, np.zeros(len(indices), np.int32), words)
        look_up(self._in_use(), facts)
        return facts

    def _in_use(self) -> Sets:
        return Sets(self._table, self._sets, self._stride)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _first_word(key: cython.ulong, sets: cython.ulong, stride: cython.ulong) -> cython.ulong:
    """Where the set of an index (`key` - 1) begins."""
    mixed: cython.ulong = (key * _MIX) & _U64
    mixed = ((mixed ^ (mixed >> 32)) * _MIX) & _U64
    return ((mixed ^ (mixed >> 32)) & (sets - 1)) * stride * _WAYS


def see(into: Sets, facts: Facts, row: cython.long, spare: cython.long) -> tuple[int, int, int]:
    """Take in facts from `row` on, until the table should be split.

    That is where a set is full and the table has `spare` entries more than before; until then
    the last of a full set makes room.  Gives the row that is next, how many entries more
    there are, and how many were let go.
    """
    words: cython.p_ulong = u64(into.table)
    sets: cython.ulong = into.sets
    stride: cython.ulong = into.stride
    index: cython.p_long = i64(facts.page_index)
    tag: cython.p_int = i32(facts.tag)
    word: cython.p_ulong = u64(facts.word)
    rows: cython.long = len(facts.page_index)
    kept: cython.long = 0
    let_go: cython.long = 0
    key: cython.ulong
    at: cython.ulong
    way: cython.long
    with cython.nogil:
        while row < rows:
            if row + _AHEAD < rows:
                key = cython.cast(cython.ulong, index[row + _AHEAD]) + 1
                prefetch(words, _first_word(key, sets, stride), 8)
            key = cython.cast(cython.ulong, index[row]) + 1
            at = _first_word(key, sets, stride)
            way = 0
            while way < _WAYS and words[at] and (words[at] & _KEY_MASK) != key:
                at += stride
                way += 1
            if way == _WAYS:
                if kept >= spare:
                    break
                let_go += 1
                way -= 1
                at -= stride
            elif not words[at]:
                kept += 1
            while way > 0:
                _copy(words, at, at - stride, stride)
                at -= stride
                way -= 1
            words[at] = key | ((cython.cast(cython.ulong, tag[row]) & _TAG_MASK) << _TAG_SHIFT)
            if stride > 1:
                words[at + 1] = word[row]
            row += 1
    return row, kept, let_go


def forget(into: Sets, indices: Indices) -> int:
    """Take the entries of pages out of their sets; how many there were."""
    words: cython.p_ulong = u64(into.table)
    sets: cython.ulong = into.sets
    stride: cython.ulong = into.stride
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
            at = _first_word(key, sets, stride)
            end = at + stride * _WAYS
            while at < end and words[at] and (words[at] & _KEY_MASK) != key:
                at += stride
            if at == end or not words[at]:
                continue
            gone += 1
            while at + stride < end and words[at + stride]:
                _copy(words, at, at + stride, stride)
                at += stride
            _clear(words, at, stride)
    return gone


def split(into: Sets) -> None:
    """Spread the entries over twice as many sets, their order kept."""
    words: cython.p_ulong = u64(into.table)
    sets: cython.ulong = into.sets
    stride: cython.ulong = into.stride
    low: cython.ulong
    high: cython.ulong
    at: cython.ulong
    end: cython.ulong
    first: cython.ulong = 0
    half: cython.ulong = sets * stride * _WAYS
    with cython.nogil:
        while first < half:
            low = first
            high = first + half
            end = first + stride * _WAYS
            at = first
            while at < end and words[at]:
                if _first_word(words[at] & _KEY_MASK, 2 * sets, stride) == first:
                    _copy(words, low, at, stride)
                    low += stride
                else:
                    _copy(words, high, at, stride)
                    high += stride
                at += stride
            while low < at:
                _clear(words, low, stride)
                low += stride
            first = end


def look_up(into: Sets, facts: Facts) -> None:
    """Write what is known of the pages of `facts`."""
    words: cython.p_ulong = u64(into.table)
    sets: cython.ulong = into.sets
    stride: cython.ulong = into.stride
    index: cython.p_long = i64(facts.page_index)
    tag: cython.p_int = i32(facts.tag)
    word: cython.p_ulong = u64(facts.word)
    rows: cython.long = len(facts.page_index)
    row: cython.long
    key: cython.ulong
    at: cython.ulong
    way: cython.long
    with cython.nogil:
        for row in range(rows):
            if row + _AHEAD < rows:
                key = cython.cast(cython.ulong, index[row + _AHEAD]) + 1
                prefetch(words, _first_word(key, sets, stride), 8)
            key = cython.cast(cython.ulong, index[row]) + 1
            at = _first_word(key, sets, stride)
            way = 0
            while way < _WAYS and words[at]:
                if (words[at] & _KEY_MASK) == key:
                    tag[row] = words[at] >> _TAG_SHIFT
                    if stride > 1:
                        word[row] = words[at + 1]
                    break
                at += stride
                way += 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _copy(
    words: cython.p_ulong, to: cython.ulong, from_: cython.ulong, stride: cython.ulong
) -> cython.void:
    words[to] = words[from_]
    if stride > 1:
        words[to + 1] = words[from_ + 1]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _clear(words: cython.p_ulong, at: cython.ulong, stride: cython.ulong) -> cython.void:
    words[at] = 0
    if stride > 1:
        words[at + 1] = 0
