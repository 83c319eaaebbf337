"""Recording accesses: the nine rules of behaviour.md 2, in order (patches 3 and 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled, prefetch
from pghot.engine.mem_map import COMPOUND, MOVED, NOT_ONLINE, OFF_LRU, UNREFERENCED
from pghot.engine.records import AHEAD, next_precise
from pghot.engine.units import NID_MAX, PAGES_PER_SECTION, PFN_SECTION_SHIFT
from pghot.engine.vmstat import RECORDED_ACCESSES, RECORDED_HINTFAULTS, RECORDED_HWHINTS

PGHOT_HINTFAULTS = 0
PGHOT_HWHINTS = 1

REFUSED, ON_TOPTIER, BORN_ON_TOPTIER = range(3)
"""Places in the recorder's own counts: accesses refused with EINVAL; accesses whose page
was on a top-tier node; accesses whose page would be there had nothing been promoted."""
COUNTS = 3

_IGNORED = UNREFERENCED | OFF_LRU
_SECTION_MASK = PAGES_PER_SECTION - 1


@compiled
def record_many(
    pfns: Any,
    nids: Any,
    sources: Any,
    now: Any,
    slot_of: Any,
    section_nid: Any,
    flags: Any,
    compound: Any,
    page_nid: Any,
    toptier: Any,
    online: Any,
    has_map: Any,
    records: Any,
    touched: Any,
    hot: Any,
    activate: Any,
    events: Any,
    counts: Any,
    enabled: int,
    target_nid: int,
    precise: bool,
    table: Any,
    window: int,
    threshold: int,
) -> None:
    """Record accesses in order.

    `pfns` (u64), `nids` (i16), `sources` (i8) and `now` (u64, jiffies) are one item an
    access; `toptier`, `online` and `activate` are by node id, the other arrays as in
    `MemMap` and `HotMap`.  `events` and `counts` are added to.
    """
    count = len(pfns)
    sections = np.uint64(len(slot_of))
    shift = np.uint64(PFN_SECTION_SHIFT)
    low = np.uint64(_SECTION_MASK)
    for i in range(count):
        if i + AHEAD < count:
            ahead = pfns[i + AHEAD]
            section = ahead >> shift
            if section < sections and slot_of[section]:
                at = ((np.int64(slot_of[section]) - 1) << PFN_SECTION_SHIFT) | np.int64(
                    ahead & low
                )
                prefetch(flags, at)
                prefetch(records, at)

        section = pfns[i] >> shift
        slot = np.int64(-1)
        place = np.int64(0)
        page_flags = np.int64(0)
        node = np.int64(0)
        if section < sections:
            slot = np.int64(slot_of[section]) - 1
        if slot >= 0:
            place = (slot << PFN_SECTION_SHIFT) | np.int64(pfns[i] & low)
            page_flags = np.int64(flags[place])
            node = np.int64(section_nid[slot])
            counts[BORN_ON_TOPTIER] += toptier[node]
            if page_flags:
                fact = page_flags & NOT_ONLINE
                if page_flags & COMPOUND and compound[place] < 0:
                    # Rule 7: the record, and the facts, of the folio's first PFN.
                    head = np.int64(pfns[i]) + np.int64(compound[place])
                    slot = np.int64(slot_of[head >> PFN_SECTION_SHIFT]) - 1
                    place = (slot << PFN_SECTION_SHIFT) | (head & _SECTION_MASK)
                page_flags = fact | (np.int64(flags[place]) & ~NOT_ONLINE)
                if page_flags & MOVED:
                    node = np.int64(page_nid[place])
            counts[ON_TOPTIER] += toptier[node]

        nid = np.int64(nids[i])
        source = sources[i]
        if precise and nid != -1:  # rule 2
            if nid < 0 or nid > NID_MAX or not online[nid] or not toptier[nid]:
                counts[REFUSED] += 1
                continue
        if source < PGHOT_HINTFAULTS or source > PGHOT_HWHINTS:  # rule 3
            counts[REFUSED] += 1
            continue
        if not (enabled >> source) & 1:
            continue
        if source == PGHOT_HINTFAULTS:  # rule 4
            events[RECORDED_HINTFAULTS] += 1
        else:
            events[RECORDED_HWHINTS] += 1
        if slot < 0:  # no such page, so none that is online
            continue
        if node == nid or toptier[node]:  # rule 5
            continue
        if page_flags & (NOT_ONLINE | _IGNORED):  # rule 6
            continue
        if not has_map[slot]:  # rule 8
            continue
        events[RECORDED_ACCESSES] += 1  # rule 9
        touched[slot] = 1
        if precise:
            if nid == -1:
                nid = target_nid
            record = next_precise(
                np.int64(records[place]), np.int64(now[i]), nid, window, threshold
            )
            records[place] = record
            ready = record >> 31
        else:
            row = (now[i] >> np.uint64(7)) & np.uint64(31)
            record = np.int64(table[(row << np.uint64(8)) | np.uint64(records[place])])
            records[place] = record
            ready = record >> 7
        if ready:
            hot[slot] = 1
            activate[node] = 1


def as_columns(
    pfn: npt.ArrayLike, nid: npt.ArrayLike, source: npt.ArrayLike, now: npt.ArrayLike
) -> tuple[
    npt.NDArray[np.uint64], npt.NDArray[np.int16], npt.NDArray[np.int8], npt.NDArray[np.uint64]
]:
    """Give four arrays of one length; a scalar stands for the same value in every row.

    A node id or source that its type cannot hold becomes one that is refused.
    """
    pfns = np.atleast_1d(np.asarray(pfn, dtype=np.uint64))
    shape = pfns.shape
    nids = np.clip(np.asarray(nid, dtype=np.int64), -2, NID_MAX + 1).astype(np.int16)
    sources = np.clip(np.asarray(source, dtype=np.int64), -1, 127).astype(np.int8)
    jiffies = np.asarray(now, dtype=np.uint64)
    return (
        np.ascontiguousarray(pfns),
        np.ascontiguousarray(np.broadcast_to(nids, shape)),
        np.ascontiguousarray(np.broadcast_to(sources, shape)),
        np.ascontiguousarray(np.broadcast_to(jiffies, shape)),
    )
