"""Counting the accesses to each page of a log, in one pass and bounded memory.

Nine bytes a page of the sections that are accessed, four more a page that is.  What a page has
beyond a multiple of 255 accesses is kept apart: nearly all rows need no more than this byte of
their page, and caches hold many.
"""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import FirstTouches, I64Array, U64Array
from pghot.engine.growing import grown
from pghot.engine.mem_map import MemMap

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64, prefetch, u8, u32, u64
    from cython.cimports.pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i32, i64, prefetch, u8, u32, u64
    from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT

U8Array = npt.NDArray[np.uint8]
U32Array = npt.NDArray[np.uint32]
MOST = 0xFFFF_FFFF
"""A page's accesses in a half of a log are counted up to here."""

_MOST = cython.declare(cython.ulong, MOST)
_FULL = cython.declare(cython.ulong, 0xFF)
_AHEAD = cython.declare(cython.long, 24)  # rows from a prefetch to its use
_SECTION_SHIFT = 15  # as units.PFN_SECTION_SHIFT: compiled, that is no Python object
_SECTION = 1 << _SECTION_SHIFT


def count(
    pfns: U64Array,
    weights: U32Array,
    start: int,
    late: bool,
    slot_of: npt.NDArray[np.int32],
    few: U8Array,
    counts: U64Array,
    order: U32Array,
) -> tuple[int, int]:
    """Count rows from `start` on, up to one in a section that has no slot.

    `weights` may be empty: each row is one access then.  An item of `counts` is two numbers of
    32 bits, early accesses and late ones.  An item of `few` is 0 for a page without accesses,
    else one more than those of this half that `counts` lacks until `settle`.  Indices of pages
    that had none before go to `order`.
    `slot_of` has one item at least: a section's slot, from 1 on, or 0.
    Gives that row, or the number of rows, and how many indices were written.
    """
    pfn: cython.p_ulong = u64(pfns)
    weight: cython.p_uint = u32(weights)
    slots: cython.p_int = i32(slot_of)
    left: cython.p_uchar = u8(few)
    both: cython.p_uint = u32(counts.view(np.uint32))
    half: cython.ulong = 1 if late else 0
    first: cython.p_uint = u32(order)
    rows: cython.long = len(pfns)
    sections: cython.ulong = len(slot_of)
    weighted: cython.bint = len(weights) > 0
    index: cython.ulong
    number: cython.ulong
    by: cython.ulong = 1
    total: cython.ulong
    over: cython.ulong
    new: cython.long = 0
    i: cython.long = start
    with cython.nogil:
        while i < rows:
            if i + _AHEAD < rows:
                number = min(pfn[i + _AHEAD] >> PFN_SECTION_SHIFT, sections - 1)
                index = cython.cast(cython.ulong, slots[number]) << PFN_SECTION_SHIFT
                index = (index | (pfn[i + _AHEAD] & (PAGES_PER_SECTION - 1))) - PAGES_PER_SECTION
                prefetch(left, index, 1)
            number = pfn[i] >> PFN_SECTION_SHIFT
            if number >= sections or slots[number] == 0:
                break
            index = cython.cast(cython.ulong, slots[number] - 1) << PFN_SECTION_SHIFT
            index = index | (pfn[i] & (PAGES_PER_SECTION - 1))
            if weighted:
                by = weight[i]
            total = left[index] + by
            if left[index] == 0 and by:
                first[new] = index
                new += 1
                total += 1
            if total > _FULL:
                over = (total - 1) // _FULL * _FULL
                total -= over
                both[2 * index + half] = min(_MOST, both[2 * index + half] + over)
            left[index] = total
            i += 1
    return i, new


def settle(few: U8Array, counts: U64Array, late: bool) -> None:
    """Add what `few` holds to the counts of this half; accesses from here on are new ones."""
    words: cython.p_ulong = u64(few.view(np.uint64))
    left: cython.p_uchar = u8(few)
    both: cython.p_uint = u32(counts.view(np.uint32))
    half: cython.ulong = 1 if late else 0
    pages: cython.ulong = len(few)
    total: cython.ulong
    word: cython.ulong
    i: cython.ulong
    with cython.nogil:
        for word in range(pages // 8):
            if words[word]:  # what was never touched is not written to
                for i in range(8 * word, 8 * word + 8):
                    if left[i] > 1:
                        total = both[2 * i + half]
                        both[2 * i + half] = min(_MOST, total + left[i] - 1)
                        left[i] = 1


def look_up(
    order: U32Array,
    counts: U64Array,
    sections: U64Array,
    pfns: U64Array,
    early: I64Array,
    late: I64Array,
) -> None:
    """Write PFNs and accesses of the pages whose indices into `counts` are in `order`.

    `sections`: the number of the section of each slot.  `late` may be empty.
    """
    index: cython.p_uint = u32(order)
    both: cython.p_uint = u32(counts.view(np.uint32))
    section: cython.p_ulong = u64(sections)
    pfn: cython.p_ulong = u64(pfns)
    first: cython.p_long = i64(early)
    second: cython.p_long = i64(late)
    pages: cython.long = len(order)
    halves: cython.bint = len(late) > 0
    at: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(pages):
            if i + _AHEAD < pages:
                prefetch(both, 2 * cython.cast(cython.ulong, index[i + _AHEAD]), 4)
            at = index[i]
            pfn[i] = section[at >> PFN_SECTION_SHIFT] << PFN_SECTION_SHIFT
            pfn[i] |= at & (PAGES_PER_SECTION - 1)
            first[i] = both[2 * at]
            if halves:
                second[i] = both[2 * at + 1]


class Touches:
    """Accesses by page: those up to `half_us`, those after it, and the order of first ones.

    `half_us` None: all count as early, and nothing is said of a second half.
    """

    def __init__(self, half_us: int | None = None) -> None:
        self.half_us = half_us
        """May be set until the first rows are added."""
        self._slot_of: npt.NDArray[np.int32] = np.zeros(1, np.int32)  # 0: it has none
        self._sections: list[int] = []
        self._counts: U64Array = np.zeros(0, np.uint64)
        self._few: U8Array = np.zeros(0, np.uint8)
        self._is_late = False
        self._order: list[U32Array] = []

    def add(self, time_us: U64Array, pfns: U64Array, weights: U32Array | None = None) -> None:
        """Take rows, whose times do not go backwards; `weights`: accesses that each stands for."""
        if weights is None:
            weights = np.zeros(0, np.uint32)
        split = self.split(time_us)
        self._count(pfns[:split], weights[:split], late=False)
        self._count(pfns[split:], weights[split:], late=True)

    def split(self, time_us: U64Array) -> int:
        """How many of these rows, in the order of time, are of the first half."""
        if self.half_us is None:
            return len(time_us)
        return int(np.searchsorted(time_us, np.uint64(self.half_us), side="right"))

    def touched(self, mem_map: MemMap | None = None) -> FirstTouches:
        """The folios that were accessed, in the order of their first accesses.

        `mem_map` knows which pages make a folio; without it each page is one.
        """
        settle(self._few, self._counts, self._is_late)
        order = np.concatenate([np.zeros(0, np.uint32), *self._order])
        pfns = np.empty(len(order), np.uint64)
        early = np.empty(len(order), np.int64)
        late = np.empty(0 if self.half_us is None else len(order), np.int64)
        look_up(order, self._counts, np.array(self._sections, np.uint64), pfns, early, late)
        pages = FirstTouches(
            pfns,
            np.broadcast_to(np.int64(1), len(order)),
            early,
            None if self.half_us is None else late,
        )
        return pages if mem_map is None else pages.as_folios(mem_map)

    def _count(self, pfns: U64Array, weights: U32Array, *, late: bool) -> None:
        if late and len(pfns) and not self._is_late:
            settle(self._few, self._counts, late=False)
            self._is_late = True
        order = np.empty(len(pfns), np.uint32)
        done = 0
        while done < len(pfns):
            done, new = count(
                pfns, weights, done, late, self._slot_of, self._few, self._counts, order
            )
            if new:
                self._order.append(order[:new].copy())
            if done < len(pfns):
                self._add_section(int(pfns[done]) >> _SECTION_SHIFT)

    def _add_section(self, number: int) -> None:
        if number >= len(self._slot_of):
            longer = np.zeros(max(number + 1, 2 * len(self._slot_of)), np.int32)
            longer[: len(self._slot_of)] = self._slot_of
            self._slot_of = longer
        used: I64Array = np.full(len(self._sections), _SECTION, np.int64)
        self._sections.append(number)
        slots = len(self._sections)
        self._counts = grown(self._counts, slots, used)
        self._few = grown(self._few, slots, used)
        self._slot_of[number] = slots
