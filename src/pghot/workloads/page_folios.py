"""Which folio a PFN of a log is: a table of those met, filled in the order of appearance."""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, u64
else:
    from pghot.engine.arrays import i32, u64

_EMPTY = -1
_LEAST = 1 << 12

_ODD = cython.declare(cython.ulong, 0x9E37_79B9_7F4A_7C15)
_U64 = cython.declare(cython.ulong, 0xFFFF_FFFF_FFFF_FFFF)


class _Slots(NamedTuple):
    """Slots of a hash table, a power of two of them: the key in each and its folio."""

    keys: npt.NDArray[np.uint64]
    folios: npt.NDArray[np.int32]


class PageFolios:
    """Numbers the distinct keys (PFNs, or PFNs of folios) it is given from 0."""

    def __init__(self) -> None:
        self.count = 0
        self._table = _empty(_LEAST)

    def of(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """The folio of each key; one not met before gets the next number."""
        found = np.empty(len(keys), np.int32)
        done = 0
        while True:
            done, self.count = _number(self._table, self.count, keys, done, found)
            if done == len(keys):
                return found
            self._grow()

    def _grow(self) -> None:
        used = self._table.folios != _EMPTY
        keys, folios = self._table.keys[used], self._table.folios[used]
        self._table = _empty(4 * len(used))
        _insert(self._table, keys, folios)

    def keys(self) -> npt.NDArray[np.uint64]:
        """The key of every folio."""
        used = self._table.folios != _EMPTY
        keys = np.empty(self.count, np.uint64)
        keys[self._table.folios[used]] = self._table.keys[used]
        return keys


def _empty(slots: int) -> _Slots:
    return _Slots(np.zeros(slots, np.uint64), np.full(slots, _EMPTY, np.int32))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _slot_of(
    keys: cython.p_ulong,
    folios: cython.p_int,
    key: cython.ulong,
    shift: cython.ulong,
    mask: cython.ulong,
) -> cython.ulong:
    """Find the slot that holds a key, or the empty one where it belongs (linear probing)."""
    slot: cython.ulong = (key * _ODD & _U64) >> shift
    while folios[slot] >= 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


def _shift_for(slots: int) -> int:
    """Bits of a hash that a table of so many slots leaves out."""
    return 65 - slots.bit_length()


def _number(
    table: _Slots,
    known: cython.long,
    rows: npt.NDArray[np.uint64],
    start: cython.long,
    found: npt.NDArray[np.int32],
) -> tuple[int, int]:
    """Write the folios of rows from `start`, until the table is half full.

    (rows done, keys known).
    """
    keys: cython.p_ulong = u64(table.keys)
    folios: cython.p_int = i32(table.folios)
    row: cython.p_ulong = u64(rows)
    out: cython.p_int = i32(found)
    slots: cython.long = len(table.keys)
    shift: cython.ulong = _shift_for(slots)
    count: cython.long = len(rows)
    slot: cython.ulong
    i: cython.long = start
    with cython.nogil:
        while i < count:
            slot = _slot_of(keys, folios, row[i], shift, slots - 1)
            if folios[slot] < 0:
                if 2 * known >= slots:
                    break
                keys[slot] = row[i]
                folios[slot] = known
                known += 1
            out[i] = folios[slot]
            i += 1
    return i, known


def _insert(
    table: _Slots, new_keys: npt.NDArray[np.uint64], new_folios: npt.NDArray[np.int32]
) -> None:
    """Put keys with their folios into a table that has none of them."""
    keys: cython.p_ulong = u64(table.keys)
    folios: cython.p_int = i32(table.folios)
    key: cython.p_ulong = u64(new_keys)
    folio: cython.p_int = i32(new_folios)
    slots: cython.long = len(table.keys)
    shift: cython.ulong = _shift_for(slots)
    count: cython.long = len(new_keys)
    slot: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(count):
            slot = _slot_of(keys, folios, key[i], shift, slots - 1)
            keys[slot] = key[i]
            folios[slot] = folio[i]
