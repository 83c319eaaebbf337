"""Counting the accesses to each page of a log, in one pass and bounded memory.

Twelve bytes a page of the sections that are accessed, four more a page that is.
"""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import FirstTouches, I64Array, U64Array
from pghot.engine.growing import grown
from pghot.engine.mem_map import MemMap

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, prefetch, u32, u64
    from cython.cimports.pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i32, prefetch, u32, u64
    from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT

U32Array = npt.NDArray[np.uint32]
MOST = 0xFFFF_FFFF
"""A page's accesses in a half of a log are counted up to here."""

_MOST = cython.declare(cython.ulong, MOST)
_AHEAD = cython.declare(cython.long, 24)  # rows from a prefetch to its use
_SECTION_SHIFT = 15  # as units.PFN_SECTION_SHIFT: compiled, that is no Python object
_SECTION = 1 << _SECTION_SHIFT


def count(
    pfns: U64Array,
    weights: U32Array,
    start: int,
    late: bool,
    slot_of: npt.NDArray[np.int32],
    counts: U64Array,
    order: U32Array,
) -> tuple[int, int]:
    """Count rows from `start` on in `counts`, up to one in a section that has no slot.

    `weights` may be empty: each row is one access then.  An item of `counts` is two numbers of
    32 bits, early accesses and late ones.  Indices of pages that have neither go to `order`.
    `slot_of` has one item at least: a section's slot, from 1 on, or 0.
    Gives that row, or the number of rows, and how many indices were written.
    """
    pfn: cython.p_ulong = u64(pfns)
    weight: cython.p_uint = u32(weights)
    slots: cython.p_int = i32(slot_of)
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
    new: cython.long = 0
    i: cython.long = start
    with cython.nogil:
        while i < rows:
            if i + _AHEAD < rows:
                number = min(pfn[i + _AHEAD] >> PFN_SECTION_SHIFT, sections - 1)
                index = cython.cast(cython.ulong, slots[number]) << PFN_SECTION_SHIFT
                index = (index | (pfn[i + _AHEAD] & (PAGES_PER_SECTION - 1))) - PAGES_PER_SECTION
                prefetch(both, 2 * index, 4)
            number = pfn[i] >> PFN_SECTION_SHIFT
            if number >= sections or slots[number] == 0:
                break
            index = cython.cast(cython.ulong, slots[number] - 1) << PFN_SECTION_SHIFT
            index = index | (pfn[i] & (PAGES_PER_SECTION - 1))
            if weighted:
                by = weight[i]
            if by and not (both[2 * index] | both[2 * index + 1]):
                first[new] = index
                new += 1
            total = both[2 * index + half] + by
            both[2 * index + half] = min(_MOST, total)
            i += 1
    return i, new


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
        indices = np.concatenate([np.zeros(0, np.uint32), *self._order]).astype(np.int64)
        sections = np.array(self._sections, np.int64)
        pfns = sections[indices >> _SECTION_SHIFT] << _SECTION_SHIFT
        pfns |= indices & (_SECTION - 1)
        early, late = self._counts[indices].view(np.uint32).reshape(-1, 2).T
        pages = FirstTouches(
            pfns.view(np.uint64),
            np.broadcast_to(np.int64(1), len(indices)),
            early.astype(np.int64),
            late.astype(np.int64) if self.half_us is not None else None,
        )
        return pages if mem_map is None else pages.as_folios(mem_map)

    def _count(self, pfns: U64Array, weights: U32Array, *, late: bool) -> None:
        order = np.empty(len(pfns), np.uint32)
        done = 0
        while done < len(pfns):
            done, new = count(pfns, weights, done, late, self._slot_of, self._counts, order)
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
        self._slot_of[number] = slots
