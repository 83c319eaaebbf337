"""Reuse distances of a fixed number of sampled pages (SHARDS).

Waldspurger, Park, Garthwaite, Ahmad: "Efficient MRC Construction with SHARDS", FAST 2015.  A
page is sampled where its hash is below a limit, so that all accesses to it are seen or none.
With n of its sample's pages accessed since the last access to a page, n / rate were in all.
When the sample is full the limit is halved, which halves the weight of what was counted.
"""

from __future__ import annotations

import cython
import numpy as np
import numpy.typing as npt

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f64, i32, i64, u64
else:
    from pghot.engine.arrays import f64, i32, i64, u64

Hashes = npt.NDArray[np.uint64]
Weights = npt.NDArray[np.float64]

OCTAVES = 28
"""Doublings of the distance that a histogram has room for above its exact part."""

PARTS = 2
"""Halves of a log, counted apart."""

_SLOTS_A_PAGE = 4
_PLACES_A_PAGE = 4


def hashed(pfns: npt.NDArray[np.uint64]) -> Hashes:
    """A hash of each PFN, one to one: the finalizer of SplitMix64 (Steele and others)."""
    mixed = pfns ^ (pfns >> np.uint64(30))
    mixed = mixed * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D0_49BB_1331_11EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


class ReuseSample:
    """Reuse distances of at most `most` pages, as histograms of the two parts of a log.

    Distances below 2^`bits` have a bucket each, longer ones share buckets that are at most
    2^(1 - `bits`) of the distance wide.  `weights`, shape (2, buckets), are accesses of the
    sample; `first`, shape (2,), those that had none before them.
    """

    def __init__(self, most: int, bits: int) -> None:
        self.most = most
        self.bits = bits
        self.shift = 0
        """The sampling rate is 2^-shift."""
        self.weights = np.zeros((PARTS, (2 + OCTAVES) << (bits - 1)))
        self.first = np.zeros(PARTS)
        self._keys = np.zeros(_SLOTS_A_PAGE * most, np.uint64)
        self._last = np.zeros(_SLOTS_A_PAGE * most, np.int64)
        self._tree = np.zeros(_PLACES_A_PAGE * most + 1, np.int32)
        self._known = self._now = 0

    def add(self, rows: Hashes, part: int) -> None:
        """Take accesses in order, as hashes of their pages; `part` says of which half."""
        rows = self._sampled(rows)
        done = 0
        while True:
            done = self._go_through(rows, done, part)
            if done == len(rows):
                return
            if self._now == len(self._tree) - 1:
                self._renumber(self._last > 0)
            else:
                self._halve()
                rows, done = self._sampled(rows[done:]), 0

    def _sampled(self, rows: Hashes) -> Hashes:
        if not self.shift:
            return np.ascontiguousarray(rows)
        return rows[rows >> np.uint64(64 - self.shift) == 0]

    def _go_through(self, rows: Hashes, start: int, part: int) -> int:
        state = np.array([self._known, self._now, self.shift, self.bits], np.int64)
        first = self.first[part : part + 1]
        done = _through(
            rows, start, (self._keys, self._last, self._tree), (self.weights[part], first), state
        )
        self._known, self._now = int(state[0]), int(state[1])
        return done

    def _halve(self) -> None:
        """Keep the pages with the lower half of the hashes, all accesses at half the weight."""
        self.shift += 1
        self.weights *= 0.5
        self.first *= 0.5
        self._renumber((self._last > 0) & (self._keys >> np.uint64(64 - self.shift) == 0))

    def _renumber(self, kept: npt.NDArray[np.bool_]) -> None:
        """Have the last accesses of these pages, in their order, be numbers 1, 2, 3."""
        keys, last = self._keys[kept], self._last[kept]
        keys = keys[np.argsort(last)]
        count = len(keys)
        self._keys[:] = 0
        self._last[:] = 0
        _insert(keys, self._keys, self._last)
        place = np.arange(len(self._tree))
        before = place - (place & -place)
        self._tree[:] = np.clip(np.minimum(place, count) - before, 0, None)
        self._known = self._now = count


def _through(
    rows: Hashes,
    start: cython.long,
    pages: tuple[Hashes, npt.NDArray[np.int64], npt.NDArray[np.int32]],
    counts: tuple[Weights, Weights],
    state: npt.NDArray[np.int64],
) -> int:
    """Count the distances of rows from `start` on, until there is no room: how far that was.

    `pages`: hash table of keys and numbers of their last accesses, and a Fenwick tree that
    has 1 at each of these.  `state`: pages known, number of the last access, shift, bits.
    """
    row: cython.p_ulong = u64(rows)
    key_of: cython.p_ulong = u64(pages[0])
    last_of: cython.p_long = i64(pages[1])
    tree: cython.p_int = i32(pages[2])
    weight: cython.p_double = f64(counts[0])
    first: cython.p_double = f64(counts[1])
    length: cython.long = len(rows)
    mask: cython.ulong = len(pages[0]) - 1
    most: cython.long = len(pages[0]) // 4
    room: cython.long = len(pages[2]) - 1
    known: cython.long = state[0]
    now: cython.long = state[1]
    shift: cython.long = state[2]
    bits: cython.long = state[3]
    slot: cython.ulong
    last: cython.long
    since: cython.long
    i: cython.long = start
    with cython.nogil:
        while i < length and now < room:
            slot = (row[i] >> 4) & mask
            while last_of[slot] and key_of[slot] != row[i]:
                slot = (slot + 1) & mask
            last = last_of[slot]
            if last == 0 and known == most:
                break
            i += 1
            if last and last == now:
                weight[1] += 1.0
                continue
            now += 1
            if last == 0:
                key_of[slot] = row[i - 1]
                known += 1
                first[0] += 1.0
            else:
                since = known - _up_to(tree, last)
                weight[_bucket((since << shift) + 1, bits)] += 1.0
                _count(tree, last, room, -1)
            _count(tree, now, room, 1)
            last_of[slot] = now
    state[0] = known
    state[1] = now
    return i


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _up_to(tree: cython.p_int, at: cython.long) -> cython.long:
    """The sum of a Fenwick tree's items 1 to `at`."""
    total: cython.long = 0
    while at > 0:
        total += tree[at]
        at &= at - 1
    return total


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _count(tree: cython.p_int, at: cython.long, room: cython.long, by: cython.int) -> cython.void:
    """Add to the item `at` of a Fenwick tree of `room` items."""
    while at <= room:
        tree[at] += by
        at += at & -at


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _bucket(distance: cython.long, bits: cython.long) -> cython.long:
    """The bucket of a distance: its own below 2^bits, then 2^(bits - 1) for each doubling."""
    octave: cython.long = 0
    while distance >> (octave + bits):
        octave += 1
    return (distance >> octave) + (octave << (bits - 1))


def _insert(rows: Hashes, keys: Hashes, last: npt.NDArray[np.int64]) -> None:
    """Put keys into an empty hash table, numbered from 1."""
    row: cython.p_ulong = u64(rows)
    key_of: cython.p_ulong = u64(keys)
    last_of: cython.p_long = i64(last)
    length: cython.long = len(rows)
    mask: cython.ulong = len(keys) - 1
    slot: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(length):
            slot = (row[i] >> 4) & mask
            while last_of[slot]:
                slot = (slot + 1) & mask
            key_of[slot] = row[i]
            last_of[slot] = i + 1
