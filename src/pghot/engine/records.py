"""Compiled loops over record arrays: update, consume, find ready, expire.

An engine owns its records by one thread at a time, so plain loads and stores stand where
the series compares and swaps (behaviour.md 1, last rule).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch, trailing_zeros
from pghot.engine.layout import Layout, Rules
from pghot.engine.units import NID_MAX

AHEAD = 64
"""Accesses between the one being recorded and the one whose cache line is asked for."""

BLOCK = 512
"""Accesses that are looked at together: where all have one time it is read once."""

BLOCK_BYTES = 64
"""Bytes of records that a search looks at in one go: a cache line."""

TIME_SHIFT = 13
TIME_WIDTH = 14
FREQ_SHIFT = 10
FREQ_MAX = 7
KEPT = 0b11111 << 27
# The precision layout again as constants, KEPT its ready and unused bits: a compiled loop
# cannot read a Python object.  tests/engine/test_layout.py holds the two together.

# Unsigned, for Numba makes floats of unsigned and signed integers together.
_NID_MAX = np.uint64(NID_MAX)
_TIME_SHIFT = np.uint64(TIME_SHIFT)
_TIME_MASK = np.uint64((1 << TIME_WIDTH) - 1)
_FREQ_SHIFT = np.uint64(FREQ_SHIFT)
_FREQ_MAX = np.uint64(FREQ_MAX)
_KEPT = np.uint64(KEPT)
_AHEAD = np.uint64(AHEAD)
_U32 = np.uint64(0xFFFF_FFFF)
_TO_TOP = np.uint64(32 - TIME_SHIFT - TIME_WIDTH)
"""Shift that brings a precision record's time to the top of 32 bits."""
_TIME_TOP = np.uint64(32 - TIME_WIDTH)
_BELOW_TIME = np.uint64((1 << (32 - TIME_WIDTH)) - 1)
_BORROW = np.uint64(60)
_LATE = np.uint64(FREQ_MAX + 1)
_BUCKET = np.uint64(7)
_BUCKETS = np.uint64(31)
_BYTE = np.uint64(8)

Records = npt.NDArray[np.uint8] | npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]


@compiled
def row_of(now: Any) -> Any:
    """Give where the default layout's table has the row for `now` jiffies."""
    return ((now >> _BUCKET) & _BUCKETS) << _BYTE


@compiled
def same_bucket(first: Any, last: Any) -> bool:
    """Tell whether default records made at the two times have one time field and row."""
    return first >> _BUCKET == last >> _BUCKET


@compiled
def stamp_of(now: Any) -> Any:
    """Give the time field of `now` at the top of 32 bits, all bits below it set."""
    return ((now & _TIME_MASK) << _TIME_TOP) | _BELOW_TIME


@compiled
def limit_of(window: int) -> Any:
    """Give a window in jiffies as `next_precise` compares it; one over 14 bits never ends."""
    return (np.uint64(window) << _TIME_TOP) | _BELOW_TIME


@compiled
def base_of(now: Any, nid: int) -> Any:
    """Give the bits of a precision record that follow from the access alone."""
    return ((now & _TIME_MASK) << _TIME_SHIFT) | (np.uint64(nid) & _NID_MAX)


@compiled
def next_precise(old: Any, stamp: Any, base: Any, limit: Any, table: Any) -> Any:
    """Give the precision record after an access, without a branch: none could be foretold.

    All u64.  `table` is `Layout.table`.  With its time at the top of a word, an age and
    what stands below it compare as the age alone; that it is too old shows as a borrow.
    """
    age = (stamp - (old << _TO_TOP)) & _U32
    late = ((limit - age) >> _BORROW) & _LATE
    return np.uint64(table[((old >> _FREQ_SHIFT) & _FREQ_MAX) | late]) | base | (old & _KEPT)


@compiled
def update_default(records: Any, places: Any, now: Any, table: Any) -> None:
    """Update u8 records at `places`, one access each at `now` jiffies (ascending), in order.

    `table` is `Layout.table`.
    """
    count = np.uint64(len(places))
    first = np.uint64(0)
    while first < count:
        end = min(first + np.uint64(BLOCK), count)
        alike = end + _AHEAD <= count and same_bucket(now[first], now[end - np.uint64(1)])
        if alike:
            row = row_of(now[first])
            for i in range(first, end):
                prefetch(records, np.uint64(places[i + _AHEAD]))
                place = np.uint64(places[i])
                records[place] = table[row | np.uint64(records[place])]
        else:
            for i in range(first, end):
                place = np.uint64(places[i])
                records[place] = table[row_of(now[i]) | np.uint64(records[place])]
        first = end


@compiled
def update_precise(
    records: Any, places: Any, now: Any, nids: Any, window: int, table: Any
) -> None:
    """Update u32 records at `places`, one access each for node `nids`; the rest as above."""
    count = np.uint64(len(places))
    limit = limit_of(window)
    first = np.uint64(0)
    while first < count:
        end = min(first + np.uint64(BLOCK), count)
        alike = end + _AHEAD <= count and now[first] == now[end - np.uint64(1)]
        if alike and all_equal(nids, first, end):
            stamp, base = stamp_of(now[first]), base_of(now[first], nids[first])
            update_precise_block(records, places, first, end, stamp, base, limit, table)
        else:
            for i in range(first, end):
                place = np.uint64(places[i])
                old = np.uint64(records[place])
                base = base_of(now[i], nids[i])
                records[place] = next_precise(old, stamp_of(now[i]), base, limit, table)
        first = end


@compiled
def update_precise_block(
    records: Any, places: Any, first: Any, end: Any, stamp: Any, base: Any, limit: Any, table: Any
) -> None:
    """Update the records at `places[first:end]` for accesses that have all else in common."""
    for i in range(first, end):
        prefetch(records, np.uint64(places[i + _AHEAD]))
        place = np.uint64(places[i])
        old = np.uint64(records[place])
        records[place] = next_precise(old, stamp, base, limit, table)


@compiled
def all_equal(values: Any, first: Any, end: Any) -> bool:
    """Tell whether values[first:end] are all the same."""
    others = values[first] ^ values[first]
    for i in range(first, end):
        others |= values[i] ^ values[first]
    return others == 0


def update(
    records: Records,
    places: npt.NDArray[Any],
    now: npt.NDArray[np.uint64],
    nids: npt.NDArray[np.int16],
    layout: Layout,
    rules: Rules,
) -> None:
    """Update the records at `places` (unsigned), one access each, in order (rule 1).

    `now` is in jiffies, ascending; `nids` are target nodes, used where the layout keeps one.
    """
    table = layout.table(rules)
    if layout.nid_width:
        update_precise(records, places, now, nids, rules.window, table)
    else:
        update_default(records, places, now, table)


@compiled
def repeated(mask: int, itemsize: int) -> Any:
    """Give a 64-bit word that holds `mask` in each of the records it spans."""
    word = np.uint64(0)
    for _ in range(8 // itemsize):
        word = (word << np.uint64(8 * itemsize)) | np.uint64(mask)
    return word


@compiled
def is_cold(words: Any, first: Any, ready_word: Any) -> bool:
    """Tell whether none of the records in eight words from `first` (u64) on is ready.

    One branch for 64 bytes that are nearly always cold.
    """
    some = np.uint64(0)
    for at in range(np.uint64(8)):
        some |= words[first + at]
    return not some & ready_word


@compiled
def find_ready(records: Any, start: int, end: int, ready: int, out: Any) -> int:
    """Write the places in [start, end) whose record is ready to `out`; give their number.

    `start` is a multiple of 64 places; `out` has room for end - start.
    """
    found = 0
    bits = 8 * records.itemsize
    block = BLOCK_BYTES // records.itemsize
    ready_word = repeated(ready, records.itemsize)
    whole = np.uint64((end - start) // block)
    words = records[start:].view(np.uint64)
    for number in range(whole):
        first = number * np.uint64(8)
        if is_cold(words, first, ready_word):
            continue
        for word in range(first, first + np.uint64(8)):
            left = words[word] & ready_word
            while left:  # as many rounds as there are ready records
                bit = np.int64(word) * 64 + np.int64(trailing_zeros(left))
                out[found] = start + bit // bits
                found += 1
                left &= left - np.uint64(1)
    for place in range(start + np.int64(whole) * block, end):
        if records[place] & ready:
            out[found] = place
            found += 1
    return found


@compiled
def consume(records: Any, places: Any, out: Any) -> None:
    """Copy the records at `places` to `out` and zero them whole (rule 1, "Consumption")."""
    for i in range(len(places)):
        out[i] = records[places[i]]
        records[places[i]] = 0


@compiled
def expire(
    records: Any, start: int, end: int, time: int, shift: int, time_max: int, oldest: int
) -> int:
    """Zero the records of [start, end) older than `oldest` time units; give how many are left.

    `time` is the time field of now; `shift` and `time_max` say where records keep theirs.
    """
    left = 0
    for place in range(start, end):
        record = np.int64(records[place])
        if record:
            if (time - (record >> shift)) & time_max > oldest:
                records[place] = 0
            else:
                left += 1
    return left
