"""Recording accesses: the nine rules of behaviour.md 2, in order (patches 3 and 4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch
from pghot.engine.mem_map import (
    NOT_ONLINE,
    OFF_LRU,
    OFFLINE,
    UNREFERENCED,
    head_of,
    node_at,
    place_of,
)
from pghot.engine.records import AHEAD, next_precise
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
def refused(nid: int, source: int, nodes: Any, precise: bool) -> bool:
    """Tell whether an access is EINVAL (rules 2 and 3)."""
    known = precise and nid != NUMA_NO_NODE
    if known and (nid < 0 or nid > NID_MAX or not nodes.online[nid] or not nodes.toptier[nid]):
        return True
    return source < 0 or source >= SOURCES


@compiled
def update(records: Any, place: int, now: Any, nid: int, settings: Any) -> bool:
    """Update one record for an access at `now`; tell whether it is ready."""
    old = records[place]
    if settings.precise:
        target = settings.target_nid if nid == NUMA_NO_NODE else nid
        new = next_precise(
            np.int64(old), np.int64(now), target, settings.window, settings.threshold
        )
        records[place] = new
        return (new >> 31) != 0
    row = (now >> np.uint64(7)) & np.uint64(31)
    byte = settings.table[(row << np.uint64(8)) | np.uint64(old)]
    records[place] = byte
    return (byte >> 7) != 0


@compiled
def record_many(  # noqa: C901 - nine rules, in the order that the series has them
    accesses: Any, pages: Any, maps: Any, nodes: Any, settings: Any, events: Any, counts: Any
) -> None:
    """Record accesses in order, by the nine rules; `events` and `counts` are added to."""
    count = len(accesses.pfn)
    for i in range(count):
        if i + AHEAD < count:
            ahead = place_of(pages, accesses.pfn[i + AHEAD])
            if ahead >= 0:
                prefetch(pages.flags, ahead)
                prefetch(maps.records, ahead)

        pfn = accesses.pfn[i]
        place = place_of(pages, pfn)
        facts = np.int64(OFFLINE)  # what is in no section is not online
        node = np.int64(0)
        if place >= 0:
            node = np.int64(pages.nid[place >> PFN_SECTION_SHIFT])
            counts[BORN_ON_TOPTIER] += nodes.toptier[node]
            facts = np.int64(pages.flags[place])
            if facts:
                # Rule 7: the record, and the facts, of the folio's first PFN.
                place = head_of(pages, place, np.int64(pfn))
                facts = (facts & NOT_ONLINE) | (np.int64(pages.flags[place]) & ~NOT_ONLINE)
                node = node_at(pages, place)
            counts[ON_TOPTIER] += nodes.toptier[node]

        nid = np.int64(accesses.nid[i])
        source = np.int64(accesses.source[i])
        if refused(nid, source, nodes, settings.precise):
            counts[REFUSED] += 1
            continue
        if not (settings.enabled >> source) & 1:  # rule 3
            continue
        events[RECORDED_BY + source] += 1  # rule 4
        if place < 0 or node == nid or nodes.toptier[node]:  # rule 5
            continue
        if facts & _IGNORED:  # rule 6
            continue
        slot = place >> PFN_SECTION_SHIFT
        if not maps.has_map[slot]:  # rule 8
            continue
        events[RECORDED_ACCESSES] += 1  # rule 9
        maps.touched[slot] = 1
        if update(maps.records, place, accesses.now[i], nid, settings):
            maps.hot[slot] = 1
            nodes.activate[node] = 1


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
