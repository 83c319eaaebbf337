"""The nine rules of recording, one access after the other (behaviour.md 2; patches 3 and 4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pghot.engine.jit import compiled
from pghot.engine.mem_map import (
    COMPOUND,
    MOVED,
    NOT_ONLINE,
    OFF_LRU,
    OFFLINE,
    UNREFERENCED,
    head_of,
)
from pghot.engine.quick import is_absent, update_one
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PFN_SECTION_SHIFT

SOURCES = 2
"""How many sources there are; a number from here on names none."""

TAKEN, HARDWARE, RECORDED, EINVALS, ON_TOP, BORN, TALLIES = range(7)
"""Places in the tally of one call: accesses taken (rule 4), those of them that are hardware
hints, recorded (rule 9), refused with EINVAL, whose page was on a top-tier node, whose page
would be there had nothing been promoted."""

REFUSE, DISABLED, TAKE = range(3)
"""What `verdict` finds."""

_SHIFT = np.uint64(PFN_SECTION_SHIFT)
_IGNORED = NOT_ONLINE | UNREFERENCED | OFF_LRU


@compiled
def verdict(nid: int, source: int, enabled: int, precise: bool, toptier: Any, online: Any) -> int:
    """Judge what an access says of itself (rules 2 and 3)."""
    known = precise and nid != NUMA_NO_NODE
    if known and (nid < 0 or nid > NID_MAX or not online[nid] or not toptier[nid]):
        return REFUSE
    if source < 0 or source >= SOURCES:
        return REFUSE
    return TAKE if (enabled >> source) & 1 else DISABLED


@compiled
def one_by_one(
    pfns: Any,
    nids: Any,
    sources: Any,
    now: Any,
    first: Any,
    end: Any,
    places: Any,
    at: Any,
    sections: Any,
    slot_of: Any,
    section_nid: Any,
    flags: Any,
    compound: Any,
    page_nid: Any,
    records: Any,
    has_map: Any,
    hot: Any,
    touched: Any,
    toptier: Any,
    online: Any,
    activate: Any,
    enabled: int,
    target_nid: int,
    precise: bool,
    window: int,
    table: Any,
    tally: Any,
) -> None:
    """Take the rows [first, end) through the rules; their places are at `at` and on."""
    nid = source = np.int64(-3)  # of no access
    finding = REFUSE
    for i in range(first, end):
        place = places[at + i - first]
        facts = np.uint8(OFFLINE)  # what is in no section is not online
        node = np.int64(NUMA_NO_NODE)
        absent = is_absent(pfns[i], sections)
        if not absent:
            tally[BORN] += toptier[section_nid[place >> _SHIFT]]
            facts = flags[place]
            if facts & COMPOUND:
                # Rule 7: the record, and the facts, of the folio's first PFN.
                head = head_of(slot_of, flags, compound, np.int64(place), np.int64(pfns[i]))
                place = np.uint64(head)
                facts = np.uint8((facts & NOT_ONLINE) | (flags[place] & ~NOT_ONLINE))
            node = np.int64(page_nid[place] if facts & MOVED else section_nid[place >> _SHIFT])
            tally[ON_TOP] += toptier[node]

        if nids[i] != nid or sources[i] != source:
            nid, source = np.int64(nids[i]), np.int64(sources[i])
            finding = verdict(nid, source, enabled, precise, toptier, online)
        if finding != TAKE:  # rules 2 and 3
            tally[EINVALS] += finding == REFUSE
            continue
        tally[TAKEN] += 1  # rule 4
        tally[HARDWARE] += source
        if absent or node == nid or toptier[node]:  # rule 5
            continue
        if facts & _IGNORED:  # rule 6
            continue
        slot = place >> _SHIFT
        if not has_map[slot]:  # rule 8
            continue
        tally[RECORDED] += 1  # rule 9
        target = target_nid if nid == NUMA_NO_NODE else nid
        touched[slot] = 1
        if update_one(records, place, now[i], target, precise, window, table):
            hot[slot] = 1
            activate[node] = 1
