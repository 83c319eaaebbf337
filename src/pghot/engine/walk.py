"""Compiled halves of a kmigrated pass: take the ready folios, fill a batch (patches 3, 5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.layout import Layout
from pghot.engine.mem_map import (
    COMPOUND,
    NOT_ONLINE,
    OFF_LRU,
    UNMOVABLE,
    UNREFERENCED,
    head_of,
    node_at,
)
from pghot.engine.records import find_ready
from pghot.engine.throttle import ADMITTED, judge
from pghot.engine.units import MSEC_PER_SEC, NUMA_NO_NODE, PAGES_PER_SECTION, PFN_SECTION_SHIFT

CANDIDATE = np.dtype(
    [
        ("pfn", np.int64),
        ("place", np.int64),
        ("record", np.int64),
        ("pages", np.int64),
        ("memcg", np.int64),
        ("nid", np.int64),
        ("latency", np.int64),
        ("walk", np.int64),
        ("movable", np.uint8),
        ("outcome", np.uint8),
    ]
)
"""A ready folio: its first PFN, where its record stood and what it was, pages, memcg,
target node, jiffies since its last access, the section walk it was found in (a batch never
holds folios of two), whether it can be isolated at all, and what became of it."""

# What became of a candidate; the throttle's findings keep their numbers.
MOVED_OR_IN_BATCH = ADMITTED
ALREADY_THERE, NO_TARGET, NOT_ISOLATED, NOT_MIGRATED = range(3, 7)
OUTCOMES = {
    1: "threshold",
    2: "rate_limit",
    ALREADY_THERE: "already_there",
    NO_TARGET: "no_target",
    NOT_ISOLATED: "isolation",
    NOT_MIGRATED: "migration",
}
"""Names of the outcomes other than being moved, for people and JSON."""

# Places in the state that `fill_batch` keeps between two calls.
NEXT, JUDGED, CUR_NID, CUR_MEMCG, CUR_WALK, COUNT, STATE = range(7)

BLOCK = 8 * PAGES_PER_SECTION
"""Candidates taken before they are judged, at the most, unless a pass sorts them all."""


class LayoutRow(NamedTuple):
    """What the loops need of a layout, as plain numbers."""

    time_shift: int
    time_max: int
    bucket_shift: int
    nid_mask: int
    ready: int


def layout_row(layout: Layout) -> LayoutRow:
    """Give a layout as the loops take it."""
    return LayoutRow(
        time_shift=layout.time_shift,
        time_max=layout.time_max,
        bucket_shift=layout.time_bucket_shift,
        nid_mask=(1 << layout.nid_width) - 1,
        ready=layout.ready_mask,
    )


class Limits(NamedTuple):
    """What a batch is filled by: `batch_max` folios, window in ms, pages a second, now in ms."""

    batch_max: int
    window_ms: int
    rate_limit: int
    now_ms: int
    hz: int
    count_refused: bool


class Targets(NamedTuple):
    """What is known of nodes as targets, by id, until the next batch has moved.

    `enough`: free room lets every candidate pass.  `room`: pages of the largest folio that
    can be isolated.  `promotable`: folios may move there at all.
    """

    enough: npt.NDArray[np.int64]
    room: npt.NDArray[np.int64]
    promotable: npt.NDArray[np.uint8]


@compiled
def step_over(
    slot_of: Any,
    section_nid: Any,
    flags: Any,
    compound: Any,
    page_nid: Any,
    place: int,
    pfn: int,
    src_nid: int,
) -> Any:
    """Look at the page the sweep stands on: how far to step, and its folio's first place.

    The place is -1 where the folio is skipped: not online, cannot be referenced, on another
    node, or off the LRU.
    """
    if flags[place] & NOT_ONLINE:
        return 1, -1
    head = head_of(slot_of, flags, compound, place, pfn)
    facts = flags[head]
    if facts & UNREFERENCED:
        return 1, -1
    size = np.int64(compound[head]) if facts & COMPOUND else 1
    if facts & OFF_LRU or node_at(flags, page_nid, section_nid, head) != src_nid:
        return size, -1
    return size, head


@compiled
def take_ready(
    slots: Any,
    first: int,
    src_nid: int,
    now: int,
    target_nid: int,
    layout: Any,
    pages: Any,
    maps: Any,
    out: Any,
) -> tuple[int, int]:
    """Walk sections from `slots[first]` on and consume the ready records of movable folios.

    Lowers each section's hot flag first, then steps through its PFNs by folio size, also
    where it stands on a tail page (defect 14); where all folios are pages, only through
    those that are ready.  Writes candidates to `out` as long as it has room for a whole
    section more and none of them may be of the next; gives how many and the index of that.
    """
    slot_of, section, section_nid, has_compound, _facts, flags, compound, page_nid, memcg = pages
    records, _has_map, hot, _touched = maps
    ready = layout.ready
    places = np.empty(PAGES_PER_SECTION, np.int64)
    found = 0
    at_slot = first
    while at_slot < len(slots) and found + PAGES_PER_SECTION <= len(out):
        slot = slots[at_slot]
        start = slot << PFN_SECTION_SHIFT
        if found and compound[start] < 0:
            break  # its first folio begins in a section before: that has to move first
        at_slot += 1
        hot[slot] = 0
        to_pfn = (section[slot] << PFN_SECTION_SHIFT) - start
        end = start + PAGES_PER_SECTION
        plain = not has_compound[slot]
        count = find_ready(records, start, end, ready, places) if plain else PAGES_PER_SECTION
        place, at = start, 0
        while at < count:
            if plain:
                place = places[at]
            pfn = place + to_pfn
            size, head = step_over(
                slot_of, section_nid, flags, compound, page_nid, place, pfn, src_nid
            )
            record = np.int64(records[place])
            if head >= 0 and record & ready:
                records[place] = 0
                candidate = out[found]
                candidate.pfn = pfn if head == place else pfn + np.int64(compound[place])
                candidate.place = place
                candidate.pages = size
                candidate.memcg = memcg[head]
                candidate.walk = slot
                candidate.movable = 0 if flags[head] & UNMOVABLE else 1
                judge_record(candidate, record, now, target_nid, layout)
                found += 1
            at += 1 if plain else size
            place += size
    return found, at_slot


@compiled
def judge_record(candidate: Any, record: int, now: int, target_nid: int, layout: Any) -> None:
    """Read off a candidate's record where it goes and how long ago it was touched."""
    time_shift, time_max, bucket_shift, nid_mask, _ready = layout
    candidate.record = record
    candidate.nid = record & nid_mask if nid_mask else target_nid
    age = ((now >> bucket_shift) - (record >> time_shift)) & time_max
    candidate.latency = age << bucket_shift
    candidate.outcome = ADMITTED


@compiled
def outcome_of(candidate: Any, src_nid: int, pgdat: Any, targets: Any, limits: Any) -> int:
    """Judge and isolate one candidate."""
    nid = candidate.nid
    if nid == src_nid:
        return ALREADY_THERE
    if not targets.promotable[nid]:
        return NO_TARGET
    latency_ms = (candidate.latency * MSEC_PER_SEC + limits.hz - 1) // limits.hz
    outcome = judge(
        pgdat[nid],
        targets.enough[nid],
        candidate.pages,
        latency_ms,
        limits.window_ms,
        limits.rate_limit,
        limits.now_ms,
        limits.count_refused,
    )
    if outcome != ADMITTED:
        return outcome
    isolated = candidate.movable and candidate.pages <= targets.room[nid]
    return ADMITTED if isolated else NOT_ISOLATED


@compiled
def fill_batch(
    candidates: Any,
    state: Any,
    batch: Any,
    src_nid: int,
    pgdat: Any,
    targets: Any,
    limits: Any,
) -> bool:
    """Judge candidates in order and gather those that pass; True where a batch must go now.

    `batch` gets the candidates' indices, `state[COUNT]` of them.  A batch must go when it
    holds `batch_max` folios, and before a folio of another target, memcg or section walk.
    That of another target or memcg has been judged and isolated by then, as in the series.
    """
    while state[NEXT] < len(candidates):
        candidate = candidates[state[NEXT]]
        if state[COUNT] and candidate.walk != state[CUR_WALK]:
            return True
        if not state[JUDGED]:
            candidate.outcome = outcome_of(candidate, src_nid, pgdat, targets, limits)
            if candidate.outcome != ADMITTED:
                state[NEXT] += 1
                continue
            other = candidate.nid != state[CUR_NID] or candidate.memcg != state[CUR_MEMCG]
            if state[COUNT] and other:
                state[JUDGED] = 1
                return True
        state[JUDGED] = 0
        state[CUR_NID] = candidate.nid
        state[CUR_MEMCG] = candidate.memcg
        state[CUR_WALK] = candidate.walk
        batch[state[COUNT]] = state[NEXT]
        state[COUNT] += 1
        state[NEXT] += 1
        if state[COUNT] >= limits.batch_max:
            return True
    return False


@compiled
def no_batch() -> Any:
    """Give the state of `fill_batch` before a first candidate."""
    state = np.zeros(STATE, np.int64)
    state[CUR_NID] = NUMA_NO_NODE
    return state
