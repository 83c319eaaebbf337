"""What becomes of accesses, worked out beside the fast path, for an observer.

Nothing here is run unless there is one.  That both say the same is held by
tests/engine/test_observer.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.hotmap import Maps
from pghot.engine.jit import compiled
from pghot.engine.mem_map import COMPOUND, MOVED, NOT_ONLINE, OFF_LRU, UNREFERENCED, Pages
from pghot.engine.observer import Recorded
from pghot.engine.quick import update_one
from pghot.engine.recorder import Accesses, Nodes, Settings
from pghot.engine.rules import SOURCES
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PAGES_PER_SECTION, PFN_SECTION_SHIFT

RECORDED, BAD_NODE, BAD_SOURCE, DISABLED, NO_PAGE = range(5)
OWN_NODE, ON_TOP, OFFLINE, NO_REFERENCE, NOT_ON_LRU, NO_HOT_MAP = range(5, 11)

FATES = {
    RECORDED: "recorded",
    BAD_NODE: "bad_node",
    BAD_SOURCE: "bad_source",
    DISABLED: "disabled_source",
    NO_PAGE: "no_such_page",
    OWN_NODE: "own_node",
    ON_TOP: "on_top_tier",
    OFFLINE: "offline",
    NO_REFERENCE: "unreferenced",
    NOT_ON_LRU: "off_lru",
    NO_HOT_MAP: "no_hot_map",
}
"""Names of what can become of an access, for files and JSON."""

RULE = {
    RECORDED: 9,
    BAD_NODE: 2,
    BAD_SOURCE: 3,
    DISABLED: 3,
    NO_PAGE: 6,
    OWN_NODE: 5,
    ON_TOP: 5,
    OFFLINE: 6,
    NO_REFERENCE: 6,
    NOT_ON_LRU: 6,
    NO_HOT_MAP: 8,
}
"""The rule of behaviour.md 2 that decides so."""


def foresee(
    accesses: Accesses, pages: Pages, maps: Maps, nodes: Nodes, settings: Settings
) -> Recorded:
    """Tell what becomes of accesses that are about to be recorded; nothing has changed after."""
    fates = _verdicts(accesses, nodes, settings)
    folios, sizes = accesses.pfn.copy(), np.ones(len(fates), np.int64)
    places = _places(accesses.pfn, pages.slot_of)
    fates[(fates == RECORDED) & (places < 0)] = NO_PAGE
    there = np.flatnonzero(places >= 0)
    if len(there):
        heads = _judge_pages(there, places[there], accesses, pages, maps, nodes, fates)
        to_head = np.minimum(pages.compound[places[there]], 0)
        folios[there] = (folios[there].astype(np.int64) + to_head).astype(np.uint64)
        sizes[there] = np.maximum(pages.compound[heads], 1)
        places[there] = heads
    records = _records_after(np.flatnonzero(fates == RECORDED), places, accesses, maps, settings)
    return Recorded(accesses, fates, folios, sizes, records)


def _verdicts(accesses: Accesses, nodes: Nodes, settings: Settings) -> npt.NDArray[np.uint8]:
    """Judge what accesses say of themselves (rules 2 and 3)."""
    nid, source = accesses.nid, accesses.source
    fates = np.full(len(nid), RECORDED, np.uint8)
    known = (source >= 0) & (source < SOURCES)
    enabled = np.array([settings.enabled >> bit & 1 for bit in range(SOURCES)], np.bool_)
    fates[known & ~enabled[np.where(known, source, 0)]] = DISABLED
    fates[~known] = BAD_SOURCE
    if settings.precise:
        within = (nid >= 0) & (nid <= NID_MAX)
        usable = (nodes.online & nodes.toptier) != 0
        fates[(nid != NUMA_NO_NODE) & ~(within & usable[np.where(within, nid, 0)])] = BAD_NODE
    return fates


def _judge_pages(
    rows: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    accesses: Accesses,
    pages: Pages,
    maps: Maps,
    nodes: Nodes,
    fates: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    """Take pages through rules 5 to 8; give the places of their folios (rule 7)."""
    own = pages.flags[places]
    tails = np.flatnonzero((own & COMPOUND != 0) & (pages.compound[places] < 0))
    heads = places.copy()
    pfns = accesses.pfn[rows[tails]].astype(np.int64) + pages.compound[places[tails]]
    heads[tails] = _places(pfns.astype(np.uint64), pages.slot_of)
    facts = (own & NOT_ONLINE) | (pages.flags[heads] & ~np.uint8(NOT_ONLINE))
    slots = heads >> PFN_SECTION_SHIFT
    node = np.where(facts & MOVED, pages.page_nid[heads], pages.nid[slots])
    found = np.select(
        [
            node == accesses.nid[rows],
            nodes.toptier[node] != 0,
            facts & NOT_ONLINE != 0,
            facts & UNREFERENCED != 0,
            facts & OFF_LRU != 0,
            maps.has_map[slots] == 0,
        ],
        [OWN_NODE, ON_TOP, OFFLINE, NO_REFERENCE, NOT_ON_LRU, NO_HOT_MAP],
        RECORDED,
    )
    open_ = fates[rows] == RECORDED
    fates[rows[open_]] = found[open_]
    return heads


def _records_after(
    rows: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    accesses: Accesses,
    maps: Maps,
    settings: Settings,
) -> npt.NDArray[np.uint32]:
    """Give the record of each access's folio after it; 0 for rows that are not of `rows`."""
    nids = accesses.nid[rows].astype(np.int64)
    targets = np.where(nids == NUMA_NO_NODE, settings.target_nid, nids)
    after = np.empty(len(rows), maps.records.dtype)
    trace(
        maps.records,
        places[rows].astype(np.uint64),
        accesses.now[rows],
        targets,
        settings.precise,
        settings.window,
        settings.table,
        after,
    )
    records = np.zeros(len(places), np.uint32)
    records[rows] = after
    return records


@compiled
def trace(
    records: Any,
    places: Any,
    now: Any,
    targets: Any,
    precise: bool,
    window: int,
    table: Any,
    after: Any,
) -> None:
    """Write to `after` what the record at each place will be after its access.

    The records are worked on, then put back: whoever records comes next.
    """
    before = np.empty_like(after)
    for i in range(len(places)):
        before[i] = records[places[i]]
    for i in range(len(places)):
        update_one(records, places[i], now[i], targets[i], precise, window, table)
        after[i] = records[places[i]]
    for i in range(len(places)):
        records[places[i]] = before[i]


def _places(pfns: npt.NDArray[np.uint64], slot_of: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Give the places of PFNs, -1 where a section is not present."""
    number = np.minimum(pfns >> np.uint64(PFN_SECTION_SHIFT), len(slot_of)).astype(np.int64)
    slot = np.append(slot_of, 0)[number].astype(np.int64) - 1
    within = (pfns & np.uint64(PAGES_PER_SECTION - 1)).astype(np.int64)
    return np.where(slot < 0, -1, slot * PAGES_PER_SECTION + within)
