"""Virtual pages get page frames in the order of their first touch."""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.units import PAGE_SHIFT
from pghot.log.convert.samples import U64Array

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64, u64
else:
    from pghot.engine.arrays import i32, i64, u64

_FIRST_SLOTS = 1 << 12
_STRETCH = 1 << 15
"""Rows placed between two looks at how full the table is."""

_KERNEL_HALF = 63

_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)
_FACTOR = cython.declare(cython.ulong, 0x9E37_79B9_7F4A_7C15)


class PageTable:
    """Numbers (pid, virtual page) pairs 0, 1, 2, ... in the order they come.

    An open-addressing hash table; it grows with the pairs it holds, 20 bytes a slot, at
    least every second slot free.
    """

    def __init__(self) -> None:
        self.count = 0
        """Distinct pages so far."""
        self._resize(_FIRST_SLOTS)

    def place(self, pids: npt.NDArray[np.int32] | None, vaddrs: U64Array) -> U64Array:
        """Each row's page number; pages of the kernel's half are common to all pids."""
        pages = vaddrs >> np.uint64(PAGE_SHIFT)
        owners = np.zeros(len(pages), np.int32) if pids is None else pids
        owners = np.where(vaddrs >> np.uint64(_KERNEL_HALF) == 0, owners, np.int32(-1))
        numbers = np.empty(len(pages), dtype=np.uint64)
        for start in range(0, len(pages), _STRETCH):
            part = slice(start, start + _STRETCH)
            wanted = 2 * (self.count + len(pages[part]))
            if wanted > len(self._numbers):
                self._grow(wanted)
            self.count = _number(
                owners[part],
                pages[part],
                (self._owners, self._pages, self._numbers),
                self.count,
                numbers[part],
            )
        return numbers

    def _resize(self, slots: int) -> None:
        self._owners = np.zeros(slots, dtype=np.int32)
        self._pages = np.zeros(slots, dtype=np.uint64)
        self._numbers = np.full(slots, -1, dtype=np.int64)

    def _grow(self, wanted: int) -> None:
        """Make the table larger; the pairs are put in again with the numbers they had."""
        used = np.flatnonzero(self._numbers >= 0)
        used = used[np.argsort(self._numbers[used])]
        owners, pages = self._owners[used], self._pages[used]
        self._resize(1 << (wanted - 1).bit_length())
        _number(
            owners,
            pages,
            (self._owners, self._pages, self._numbers),
            0,
            np.empty(len(used), dtype=np.uint64),
        )


def _number(
    owners: npt.NDArray[np.int32],
    pages: U64Array,
    table: tuple[npt.NDArray[np.int32], U64Array, npt.NDArray[np.int64]],
    count: cython.long,
    out: U64Array,
) -> int:
    """Write every row's number to `out`; the table, a power of two, must have room for all."""
    owner_of: cython.p_int = i32(owners)
    page_of: cython.p_ulong = u64(pages)
    table_owners: cython.p_int = i32(table[0])
    table_pages: cython.p_ulong = u64(table[1])
    table_numbers: cython.p_long = i64(table[2])
    numbers: cython.p_ulong = u64(out)
    mask: cython.ulong = len(table[2]) - 1
    rows: cython.long = len(pages)
    row: cython.long
    slot: cython.ulong
    with cython.nogil:
        for row in range(rows):
            slot = _hash(page_of[row], owner_of[row]) & mask
            while table_numbers[slot] >= 0 and (
                table_pages[slot] != page_of[row] or table_owners[slot] != owner_of[row]
            ):
                slot = (slot + 1) & mask
            if table_numbers[slot] < 0:
                table_owners[slot] = owner_of[row]
                table_pages[slot] = page_of[row]
                table_numbers[slot] = count
                count += 1
            numbers[row] = table_numbers[slot]
    return count


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _hash(page: cython.ulong, owner: cython.long) -> cython.ulong:
    """Spread a page and its owner over 64 bits; masked, for interpreted it would not wrap."""
    word: cython.ulong = (page ^ (owner << 40)) & _U64
    word = word * _FACTOR & _U64
    return word ^ (word >> 29)
