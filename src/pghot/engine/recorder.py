"""Recording accesses: the nine rules of behaviour.md 2, in order (patches 3 and 4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch
from pghot.engine.mem_map import (
    COMPOUND,
    MOVED,
    NOT_ONLINE,
    OFF_LRU,
    OFFLINE,
    PFN_MASK,
    UNREFERENCED,
    head_of,
)
from pghot.engine.records import next_precise
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PFN_SECTION_SHIFT
from pghot.engine.vmstat import RECORDED_ACCESSES, RECORDED_BY

PGHOT_HINTFAULTS = 0
PGHOT_HWHINTS = 1
SOURCES = 2
"""How many sources there are; a number from here on names none."""

REFUSED, ON_TOPTIER, BORN_ON_TOPTIER = range(3)
"""Places in the recorder's own counts: accesses refused with EINVAL; accesses whose page
was on a top-tier node; accesses whose page would be there had nothing been promoted."""
COUNTS = 3

BLOCK = 128
"""Rows that are located, and their cache lines asked for, while as many are recorded."""

_EINVAL, _DISABLED, _TAKEN = range(3)
_FACTS, _TOP, _NO_MAP = np.uint8(1), np.uint8(2), np.uint8(4)
_NOWHERE = np.uint64((1 << 64) - 1)
"""The place of a PFN whose section is not present."""

# Unsigned constants: Numba makes floats of unsigned and signed together, and tests signed
# indices for being counted from the end.
_SHIFT = np.uint64(PFN_SECTION_SHIFT)
_MASK = np.uint64(PFN_MASK)
_BUCKET = np.uint64(7)
_BUCKETS = np.uint64(31)
_BYTE = np.uint64(8)
_LAST_COLD = np.uint8(127)

_IGNORED = NOT_ONLINE | UNREFERENCED | OFF_LRU


class Accesses(NamedTuple):
    """Accesses in time order, one item each; times in jiffies."""

    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    source: npt.NDArray[np.int8]
    now: npt.NDArray[np.uint64]


class Nodes(NamedTuple):
    """What the recorder knows of nodes, by id; it raises `activate`."""

    toptier: npt.NDArray[np.uint8]
    online: npt.NDArray[np.uint8]
    activate: npt.NDArray[np.uint8]


class Settings(NamedTuple):
    """What a record is updated by; `table` is flat, and empty in precision mode."""

    enabled: int
    target_nid: int
    precise: bool
    window: int
    threshold: int
    table: npt.NDArray[np.uint8]


@compiled
def verdict(nid: int, source: int, enabled: int, precise: bool, toptier: Any, online: Any) -> int:
    """Judge what an access says of itself (rules 2 and 3)."""
    known = precise and nid != NUMA_NO_NODE
    if known and (nid < 0 or nid > NID_MAX or not online[nid] or not toptier[nid]):
        return _EINVAL
    if source < 0 or source >= SOURCES:
        return _EINVAL
    return _TAKEN if (enabled >> source) & 1 else _DISABLED


@compiled
def kinds_of(pages: Any, has_map: Any, toptier: Any) -> Any:
    """Say of each slot what rules 5 to 8 can say against its pages, as bits.

    _FACTS: a page's flags must tell.  _TOP: its node is top tier.  _NO_MAP: no hot map.
    """
    kinds = np.zeros(len(pages.nid), np.uint8)
    for slot in range(len(kinds)):
        if pages.section[slot] < 0:
            continue
        if pages.has_facts[slot]:
            kinds[slot] |= _FACTS
        if toptier[pages.nid[slot]]:
            kinds[slot] |= _TOP
        if not has_map[slot]:
            kinds[slot] |= _NO_MAP
    return kinds


@compiled
def locate(
    pfns: Any,
    first: Any,
    end: Any,
    slot_of: Any,
    kinds: Any,
    flags: Any,
    page_nid: Any,
    records: Any,
    places: Any,
    at: Any,
) -> Any:
    """Find the places of the rows [first, end) and ask for what is there.

    Gives all that rules 5 to 8 can say against them, as in `kinds_of`.
    """
    sections = np.uint64(len(slot_of))
    kind = np.uint8(0)
    for i in range(first, end):
        pfn = pfns[i]
        section = pfn >> _SHIFT
        place = _NOWHERE
        if section < sections and slot_of[section]:
            slot = np.uint64(slot_of[section] - 1)
            place = (slot << _SHIFT) | (pfn & _MASK)
            prefetch(records, place)
            kind = np.uint8(kind | kinds[slot])
            if kinds[slot] & _FACTS:
                prefetch(flags, place)
                prefetch(page_nid, place)
        else:
            kind = np.uint8(kind | _NO_MAP)
        places[at + i - first] = place
    return kind


@compiled
def uniform(
    nids: Any, sources: Any, flags: Any, first: Any, end: Any, kind: int, places: Any, at: Any
) -> bool:
    """Tell whether the rows agree on node and source, and none of their pages has a flag."""
    nid, source = nids[first], sources[first]
    others = np.int16(0)
    for i in range(first, end):
        others |= (nids[i] ^ nid) | np.int16(sources[i] ^ source)
    facts = np.uint8(0)
    if kind & _FACTS:
        for i in range(end - first):
            facts |= flags[places[at + i]]
    return not others and not facts


@compiled
def update(
    records: Any,
    place: Any,
    now: Any,
    target: int,
    precise: bool,
    window: int,
    threshold: int,
    table: Any,
) -> bool:
    """Update one record for an access at `now`; tell whether it is ready."""
    if precise:
        record = next_precise(np.int64(records[place]), np.int64(now), target, window, threshold)
        records[place] = record
        return (record >> 31) != 0
    row = (now >> _BUCKET) & _BUCKETS
    byte = table[(row << _BYTE) | np.uint64(records[place])]
    records[place] = byte
    return byte > _LAST_COLD


@compiled
def record_many(  # noqa: C901, PLR0912, PLR0915 - nine rules, in the series' order
    accesses: Any, pages: Any, maps: Any, nodes: Any, settings: Any, events: Any, counts: Any
) -> None:
    """Record accesses in order, by the nine rules; `events` and `counts` are added to.

    Rows go in blocks: the next block's records are asked for while one is recorded.  A
    block whose rows agree and against which no rule can speak skips the rules; the rows of
    any other go through them one by one.  tests/engine/test_recorder.py holds both together.
    """
    pfns, nids, sources, now = accesses
    slot_of, _section, section_nid, _compounds, _facts, flags, compound, page_nid, _m = pages
    records, has_map, hot, touched = maps
    toptier, online, activate = nodes
    enabled, target_nid, precise, window, threshold, table = settings
    count = np.uint64(len(pfns))
    block = np.uint64(BLOCK)
    kinds = kinds_of(pages, has_map, toptier)
    places = np.empty(2 * BLOCK, np.uint64)
    first = at = np.uint64(0)
    end = min(block, count)
    coming = locate(pfns, first, end, slot_of, kinds, flags, page_nid, records, places, at)
    born_on_toptier = on_toptier = refused = taken = hardware = recorded = np.int64(0)
    nid = source = np.int64(-3)  # of no access
    finding = _EINVAL
    while first < count:
        kind, here = coming, at
        at = block - at
        after = min(end + block, count)
        coming = locate(pfns, end, after, slot_of, kinds, flags, page_nid, records, places, at)

        if nids[first] != nid or sources[first] != source:
            nid, source = np.int64(nids[first]), np.int64(sources[first])
            finding = verdict(nid, source, enabled, precise, toptier, online)
        target = target_nid if nid == NUMA_NO_NODE else nid
        # A node below the top tier may be the page's own: rule 5 has to look.
        foreign = nid == NUMA_NO_NODE or (0 <= nid <= NID_MAX and toptier[nid] != 0)
        plain = kind <= _FACTS and finding == _TAKEN and foreign
        if plain and uniform(nids, sources, flags, first, end, kind, places, here):
            taken += np.int64(end - first)
            hardware += source * np.int64(end - first)
            recorded += np.int64(end - first)
            for i in range(end - first):
                place = places[here + i]
                ready = update(
                    records, place, now[first + i], target, precise, window, threshold, table
                )
                slot = place >> _SHIFT
                if not touched[slot]:
                    touched[slot] = 1
                if ready and not hot[slot]:
                    hot[slot] = 1
                    activate[np.uint64(section_nid[slot])] = 1
            first, end = end, after
            continue

        for i in range(first, end):
            place = places[here + i - first]
            facts = np.uint8(OFFLINE)  # what is in no section is not online
            node = np.int64(0)
            if place != _NOWHERE:
                born_on_toptier += (kinds[place >> _SHIFT] & _TOP) != 0
                facts = flags[place]
                if facts & COMPOUND:
                    # Rule 7: the record, and the facts, of the folio's first PFN.
                    head = head_of(slot_of, flags, compound, np.int64(place), np.int64(pfns[i]))
                    place = np.uint64(head)
                    facts = np.uint8((facts & NOT_ONLINE) | (flags[place] & ~NOT_ONLINE))
                # Read in any case: whether a page has moved is a coin that nobody predicts.
                moved_to = np.int64(page_nid[place])
                home = np.int64(section_nid[place >> _SHIFT])
                node = moved_to if facts & MOVED else home
                on_toptier += toptier[node]

            if nids[i] != nid or sources[i] != source:
                nid, source = np.int64(nids[i]), np.int64(sources[i])
                finding = verdict(nid, source, enabled, precise, toptier, online)
            if finding != _TAKEN:  # rules 2 and 3
                refused += finding == _EINVAL
                continue
            taken += 1  # rule 4
            hardware += source
            if place == _NOWHERE or node == nid or toptier[node]:  # rule 5
                continue
            if facts & _IGNORED:  # rule 6
                continue
            slot = place >> _SHIFT
            if kinds[slot] & _NO_MAP:  # rule 8
                continue
            recorded += 1  # rule 9
            target = target_nid if nid == NUMA_NO_NODE else nid
            touched[slot] = 1
            if update(records, place, now[i], target, precise, window, threshold, table):
                hot[slot] = 1
                activate[node] = 1
        first, end = end, after
    counts[BORN_ON_TOPTIER] += born_on_toptier
    counts[ON_TOPTIER] += on_toptier
    counts[REFUSED] += refused
    events[RECORDED_BY + PGHOT_HWHINTS] += hardware
    events[RECORDED_BY + PGHOT_HINTFAULTS] += taken - hardware
    events[RECORDED_ACCESSES] += recorded


def as_accesses(
    pfn: npt.ArrayLike, nid: npt.ArrayLike, source: npt.ArrayLike, now: npt.ArrayLike
) -> Accesses:
    """Give four arrays of one length; a scalar stands for the same value in every row.

    A node id or source that its type cannot hold becomes one that is refused.
    """
    pfns = np.atleast_1d(np.asarray(pfn, dtype=np.uint64))
    return Accesses(
        _rows(pfns, np.uint64, pfns.shape),
        _rows(_within(nid, np.int16, NID_MAX + 1), np.int16, pfns.shape),
        _rows(_within(source, np.int8, SOURCES), np.int8, pfns.shape),
        _rows(now, np.uint64, pfns.shape),
    )


def _within(values: npt.ArrayLike, dtype: type[Any], above: int) -> npt.ArrayLike:
    """Bring what `dtype` could not hold to values that are refused: -2, or `above`."""
    if isinstance(values, np.ndarray) and values.dtype == dtype:
        return values
    return np.clip(values, -2, above)


def _rows(values: npt.ArrayLike, dtype: type[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Give a contiguous read-only array; one kind of array keeps to one compiled loop."""
    rows = np.ascontiguousarray(np.broadcast_to(np.asarray(values, dtype=dtype), shape))
    rows.flags.writeable = False
    return rows
