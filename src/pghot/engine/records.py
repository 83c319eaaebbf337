"""Compiled loops over record arrays: update, consume, find ready, expire.

An engine owns its records by one thread at a time, so plain loads and stores stand where
the series compares and swaps (behaviour.md 1, last rule).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch
from pghot.engine.layout import Layout, Rules
from pghot.engine.units import NID_MAX

AHEAD = 32
"""Accesses between the one being recorded and the one whose cache line is asked for."""

BLOCK_BYTES = 64
"""Bytes of records that a search looks at in one go: a cache line."""

FREQ_SHIFT = 10
TIME_SHIFT = 13
TIME_MASK = 0x3FFF
FREQ_MAX = 7
READY = 1 << 31
UNUSED = 0b1111 << 27
# The precision layout again as constants: a compiled loop cannot read a Python object.
# tests/engine/test_layout.py holds the two together.

Records = npt.NDArray[np.uint8] | npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]


@compiled
def next_precise(old: int, now: int, nid: int, window: int, threshold: int) -> int:
    """Give the precision record after an access at `now` jiffies for target node `nid`."""
    time = now & TIME_MASK
    freq = (old >> FREQ_SHIFT) & FREQ_MAX
    if (time - ((old >> TIME_SHIFT) & TIME_MASK)) & TIME_MASK > window:
        freq = 1
    elif freq < FREQ_MAX:
        freq += 1
    ready = old & READY
    if freq >= threshold:
        ready = READY
    return (nid & NID_MAX) | (freq << FREQ_SHIFT) | (time << TIME_SHIFT) | ready | (old & UNUSED)


@compiled
def update_default(records: Any, places: Any, now: Any, table: Any) -> None:
    """Update u8 records at `places`, one access each at `now` jiffies, in order.

    `table` is `Layout.table`, flattened.
    """
    count = np.uint64(len(places))
    ahead = np.uint64(AHEAD)
    for i in range(count):
        if i + ahead < count:
            prefetch(records, np.uint64(places[i + ahead]))
        place = places[i]
        row = (now[i] >> np.uint64(7)) & np.uint64(31)
        records[place] = table[(row << np.uint64(8)) | np.uint64(records[place])]


@compiled
def update_precise(
    records: Any, places: Any, now: Any, nids: Any, window: int, threshold: int
) -> None:
    """Update u32 records at `places`, one access each at `now` jiffies for node `nids`."""
    count = np.uint64(len(places))
    ahead = np.uint64(AHEAD)
    for i in range(count):
        if i + ahead < count:
            prefetch(records, np.uint64(places[i + ahead]))
        place = places[i]
        records[place] = next_precise(
            np.int64(records[place]), np.int64(now[i]), np.int64(nids[i]), window, threshold
        )


def update(
    records: Records,
    places: npt.NDArray[Any],
    now: npt.NDArray[np.uint64],
    nids: npt.NDArray[np.int16],
    layout: Layout,
    rules: Rules,
) -> None:
    """Update the records at `places` (unsigned), one access each, in order (rule 1).

    `now` is in jiffies; `nids` are target nodes, used where the layout keeps one.
    """
    if layout.nid_width:
        update_precise(records, places, now, nids, rules.window, rules.freq_threshold)
    else:
        update_default(records, places, now, layout.table(rules).ravel())


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
    block = BLOCK_BYTES // records.itemsize
    ready_word = repeated(ready, records.itemsize)
    whole = np.uint64((end - start) // block)
    words = records[start:].view(np.uint64)
    for number in range(whole):
        if not is_cold(words, number * np.uint64(8), ready_word):
            first = start + np.int64(number) * block
            for place in range(first, first + block):
                if records[place] & ready:
                    out[found] = place
                    found += 1
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
