"""Which unit a PFN of a log is: a table of those met, filled in the order of appearance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled

_EMPTY = -1
_LEAST = 1 << 12
_ODD = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_WORD = np.uint64(64)


class PageUnits:
    """Numbers the distinct keys (PFNs, or PFNs of folios) it is given from 0."""

    def __init__(self) -> None:
        self.count = 0
        self._keys = np.zeros(_LEAST, np.uint64)
        self._units = np.full(_LEAST, _EMPTY, np.int32)

    def of(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
        """Give the unit of each key; one not met before gets the next number."""
        found = np.empty(len(keys), np.int32)
        done = 0
        while True:
            done, self.count = number(self._keys, self._units, self.count, keys, done, found)
            if done == len(keys):
                return found
            self._grow()

    def _grow(self) -> None:
        used = self._units != _EMPTY
        keys, units = self._keys[used], self._units[used]
        self._keys = np.zeros(4 * len(self._keys), np.uint64)
        self._units = np.full(len(self._keys), _EMPTY, np.int32)
        insert(self._keys, self._units, keys, units)

    def keys(self) -> npt.NDArray[np.uint64]:
        """Give the key of every unit."""
        used = self._units != _EMPTY
        keys = np.empty(self.count, np.uint64)
        keys[self._units[used]] = self._keys[used]
        return keys


@compiled
def slot_of(keys: Any, units: Any, key: Any, shift: Any) -> Any:
    """Find the slot that holds a key, or the empty one where it belongs (linear probing)."""
    mask = np.uint64(len(keys)) - _ONE
    slot = (key * _ODD) >> shift
    while units[slot] >= 0 and keys[slot] != key:
        slot = (slot + _ONE) & mask
    return slot


@compiled
def shift_for(slots: int) -> Any:
    """Give the shift that leaves as many bits of a hash as a table of `slots` has."""
    shift = _WORD
    while slots > 1:
        shift -= _ONE
        slots //= 2
    return shift


@compiled
def number(keys: Any, units: Any, known: int, rows: Any, start: int, found: Any) -> Any:
    """Give rows from `start` their numbers, until the table is half full.

    Gives (rows done, keys known).
    """
    shift = shift_for(len(keys))
    for i in range(start, len(rows)):
        slot = slot_of(keys, units, rows[i], shift)
        if units[slot] < 0:
            if 2 * known >= len(keys):
                return i, known
            keys[slot], units[slot] = rows[i], known
            known += 1
        found[i] = units[slot]
    return len(rows), known


@compiled
def insert(keys: Any, units: Any, new_keys: Any, new_units: Any) -> None:
    """Put keys with their units into a table that has none of them."""
    shift = shift_for(len(keys))
    for i in range(len(new_keys)):
        slot = slot_of(keys, units, new_keys[i], shift)
        keys[slot], units[slot] = new_keys[i], new_units[i]
