"""What becomes of accesses, worked out beside the fast path, for an observer.

Nothing here is run unless there is one.  That both say the same is held by
tests/engine/test_observer.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.blocks import SOURCES
from pghot.engine.fast_path import AccessArrays, RecordRules, trace
from pghot.engine.hotmap import HotMap
from pghot.engine.mem_map import MemMap
from pghot.engine.outcome_observer import RecordedAccesses
from pghot.engine.page_flags import NOT_ONLINE, OFF_LRU, UNREFERENCED
from pghot.engine.reasons import (
    BAD_NODE,
    BAD_SOURCE,
    DISABLED,
    NO_HOT_MAP,
    NO_PAGE,
    NO_REFERENCE,
    NOT_ON_LRU,
    OFFLINE,
    ON_TOP,
    OWN_NODE,
    RECORDED,
)
from pghot.engine.recorder import Accesses, Nodes
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PFN_SECTION_SHIFT


def foresee(
    accesses: Accesses, mem_map: MemMap, hot_map: HotMap, nodes: Nodes, rules: RecordRules
) -> RecordedAccesses:
    """The outcome of accesses that are about to be recorded; changes nothing."""
    outcomes = verdicts(accesses, nodes, rules)
    folios, sizes = accesses.pfn.copy(), np.ones(len(outcomes), np.int64)
    there = mem_map.indices(accesses.pfn) >= 0
    outcomes[(outcomes == RECORDED) & ~there] = NO_PAGE
    rows = np.flatnonzero(there)
    if len(rows):
        known = mem_map.known(accesses.pfn[rows])
        folios[rows], sizes[rows] = known.head, known.pages
        indices = mem_map.indices(known.head)
        found = _judge_pages(known.flags, known.nid, accesses.nid[rows], nodes)
        found[(found == RECORDED) & (hot_map.has_map[indices >> PFN_SECTION_SHIFT] == 0)] = (
            NO_HOT_MAP
        )
        open_ = outcomes[rows] == RECORDED
        outcomes[rows[open_]] = found[open_]
    records = _records_after(outcomes == RECORDED, folios, accesses, mem_map, hot_map, rules)
    return RecordedAccesses(accesses, outcomes, folios, sizes, records)


def verdicts(accesses: Accesses, nodes: Nodes, rules: RecordRules) -> npt.NDArray[np.uint8]:
    """Codes of `reasons.ACCESS` by what accesses say of themselves (R2.2, R2.3).

    RECORDED where nothing of that is against them.
    """
    nid, source = accesses.nid, accesses.source
    outcomes = np.full(len(nid), RECORDED, np.uint8)
    known = (source >= 0) & (source < SOURCES)
    enabled = np.array([rules.enabled >> bit & 1 for bit in range(SOURCES)], np.bool_)
    outcomes[known & ~enabled[np.where(known, source, 0)]] = DISABLED
    outcomes[~known] = BAD_SOURCE
    if rules.precise:
        within = (nid >= 0) & (nid <= NID_MAX)
        usable = (nodes.online & nodes.toptier) != 0
        outcomes[(nid != NUMA_NO_NODE) & ~(within & usable[np.where(within, nid, 0)])] = BAD_NODE
    return outcomes


def _judge_pages(
    flags: npt.NDArray[np.uint8],
    nid: npt.NDArray[np.int64],
    accessed_by: npt.NDArray[np.int16],
    nodes: Nodes,
) -> npt.NDArray[np.uint8]:
    """What the page decides (R2.5, R2.6)."""
    return np.select(
        [
            nid == accessed_by,
            nodes.toptier[nid] != 0,
            flags & NOT_ONLINE != 0,
            flags & UNREFERENCED != 0,
            flags & OFF_LRU != 0,
        ],
        [OWN_NODE, ON_TOP, OFFLINE, NO_REFERENCE, NOT_ON_LRU],
        RECORDED,
    ).astype(np.uint8)


def _records_after(
    recorded: npt.NDArray[np.bool_],
    folios: npt.NDArray[np.uint64],
    accesses: Accesses,
    mem_map: MemMap,
    hot_map: HotMap,
    rules: RecordRules,
) -> npt.NDArray[np.uint32]:
    """The record of each access's folio after it; 0 for those that are not recorded."""
    records = np.zeros(len(recorded), np.uint32)
    indices = mem_map.indices(folios[recorded]).astype(np.uint64)
    nids = accesses.nid[recorded]
    targets = np.where(nids == NUMA_NO_NODE, rules.target_nid, nids).astype(np.int16)
    updates = Accesses(indices, targets, accesses.source[recorded], accesses.now[recorded])
    before, after = (np.zeros(len(indices), np.uint32) for _ in range(2))
    trace(hot_map.maps(), rules, AccessArrays(updates), before, after)
    records[recorded] = after
    return records
