"""The last-level cache that a list of all loads and stores passes: what misses goes to memory."""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

from pghot.log.convert.samples import BoolArray, Llc, U64Array

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, u8, u64
else:
    from pghot.engine.arrays import i64, u8, u64


class Cache:
    """A set-associative cache with true LRU replacement; of no size, everything misses it."""

    def __init__(self, llc: Llc) -> None:
        self._ways = llc.ways
        self._shift = llc.line.bit_length() - 1
        self._tags = np.full((llc.size >> self._shift) // llc.ways * llc.ways, -1, np.int64)

    def misses(self, addresses: U64Array) -> BoolArray:
        """Which of these accesses miss; an access counts for the line where it begins."""
        missed = np.ones(len(addresses), np.bool_)
        if len(self._tags):
            _touch(np.ascontiguousarray(addresses), self._tags, self._ways, self._shift, missed)
        return missed


def _touch(
    addresses: U64Array,
    cache: npt.NDArray[np.int64],
    ways: cython.long,
    shift: cython.int,
    missed: BoolArray,
) -> None:
    """Touch a line for each address; tags of a set stand in the order of use, the latest first."""
    address: cython.p_ulong = u64(addresses)
    tags: cython.p_long = i64(cache)
    miss: cython.p_uchar = u8(missed)
    sets: cython.long = len(cache) // ways
    rows: cython.long = len(addresses)
    row: cython.long
    line: cython.long
    first: cython.long
    at: cython.long
    with cython.nogil:
        for row in range(rows):
            line = address[row] >> shift
            first = (line % sets) * ways
            at = first
            while at < first + ways and tags[at] != line:
                at += 1
            miss[row] = at == first + ways
            if miss[row]:
                at -= 1
            while at > first:
                tags[at] = tags[at - 1]
                at -= 1
            tags[first] = line
