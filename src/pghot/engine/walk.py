"""Compiled halves of a kmigrated pass: take the ready folios, fill a batch (patches 3, 5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from pghot.engine.jit import compiled
from pghot.engine.layout import Layout
from pghot.engine.mem_map import (
    COMPOUND,
    MOVED,
    NOT_ONLINE,
    OFF_LRU,
    UNMOVABLE,
    UNREFERENCED,
)
from pghot.engine.throttle import ADMITTED, judge
from pghot.engine.units import NUMA_NO_NODE, PAGES_PER_SECTION, PFN_SECTION_SHIFT

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


def layout_row(layout: Layout) -> tuple[int, int, int, int, int]:
    """Give what the loops need of a layout: time shift, time mask, bucket shift, nid mask, ready."""
    nid_mask = (1 << layout.nid_width) - 1
    return (
        layout.time_shift,
        layout.time_max,
        layout.time_bucket_shift,
        nid_mask,
        layout.ready_mask,
    )


@compiled
def cold_pages(words: Any, place: int, itemsize: int, ready: Any) -> int:
    """Give 64 / itemsize where none of the records in 64 bytes from `place` on is ready, else 0."""
    word = place * itemsize // 8
    some = (
        words[word] | words[word + 1] | words[word + 2] | words[word + 3]
        | words[word + 4] | words[word + 5] | words[word + 6] | words[word + 7]
    )
    return 0 if some & ready else 64 // itemsize


@compiled
def take_ready(
    slots: Any,
    first: int,
    src_nid: int,
    now: int,
    target_nid: int,
    layout: Any,
    slot_of: Any,
    section: Any,
    section_nid: Any,
    has_compound: Any,
    flags: Any,
    compound: Any,
    page_nid: Any,
    memcg: Any,
    records: Any,
    hot: Any,
    out: Any,
) -> tuple[int, int]:
    """Walk sections from `slots[first]` on and consume the ready records of movable folios.

    Lowers each section's hot flag first, then steps through its PFNs by folio size, also
    where it stands on a tail page (defect 14).  Writes candidates to `out` as long as it
    has room for a whole section more; gives how many and the index of the next section.
    """
    time_shift, time_max, bucket_shift, nid_mask, ready = layout
    itemsize = records.itemsize
    words = records.view(np.uint64)
    ready_words = np.uint64(0)
    for _ in range(8 // itemsize):
        ready_words = (ready_words << np.uint64(8 * itemsize)) | np.uint64(ready)
    block = 64 // itemsize
    now_time = (now >> bucket_shift) & time_max
    found = 0
    at_slot = first
    while at_slot < len(slots) and found + PAGES_PER_SECTION <= len(out):
        slot = slots[at_slot]
        at_slot += 1
        hot[slot] = 0
        start = slot * PAGES_PER_SECTION
        plain = not has_compound[slot]
        at = 0
        while at < PAGES_PER_SECTION:
            place = start + at
            if plain and at % block == 0:
                cold = cold_pages(words, place, itemsize, ready_words)
                if cold:
                    at += cold
                    continue
            own = np.int64(flags[place])
            if own & NOT_ONLINE:
                at += 1
                continue
            head = place
            pfn = (section[slot] << PFN_SECTION_SHIFT) + at
            pages = 1
            if own & COMPOUND:
                if compound[place] < 0:
                    pfn += np.int64(compound[place])
                    head = (
                        (np.int64(slot_of[pfn >> PFN_SECTION_SHIFT]) - 1) << PFN_SECTION_SHIFT
                    ) | (pfn & (PAGES_PER_SECTION - 1))
                pages = np.int64(compound[head])
            facts = np.int64(flags[head])
            if facts & UNREFERENCED:
                at += 1
                continue
            at += pages
            node = np.int64(page_nid[head]) if facts & MOVED else np.int64(section_nid[slot])
            if node != src_nid or facts & OFF_LRU:
                continue
            record = np.int64(records[place])
            if not record & ready:
                continue
            records[place] = 0
            candidate = out[found]
            candidate.pfn = pfn
            candidate.place = place
            candidate.record = record
            candidate.pages = pages
            candidate.memcg = memcg[head]
            candidate.nid = record & nid_mask if nid_mask else target_nid
            age = (now_time - ((record >> time_shift) & time_max)) & time_max
            candidate.latency = age << bucket_shift
            candidate.walk = slot
            candidate.movable = 0 if facts & UNMOVABLE else 1
            candidate.outcome = ADMITTED
            found += 1
    return found, at_slot


@compiled
def fill_batch(
    candidates: Any,
    state: Any,
    batch: Any,
    src_nid: int,
    pgdat: Any,
    enough: Any,
    room: Any,
    promotable: Any,
    batch_max: int,
    window_ms: int,
    rate_limit: int,
    now_ms: int,
    hz: int,
    count_refused: bool,
) -> bool:
    """Judge candidates in order and gather those that pass; True where a batch must go now.

    `batch` gets the candidates' indices, `state[COUNT]` of them.  A batch must go when it
    holds `batch_max` folios, and before a folio of another target, memcg or section walk.
    That folio has been judged and isolated by then, as in the series.  `enough` and `room`
    are by node id and hold until the batch has moved.
    """
    while state[NEXT] < len(candidates):
        candidate = candidates[state[NEXT]]
        nid = candidate.nid
        if state[COUNT] and candidate.walk != state[CUR_WALK]:
            return True
        if not state[JUDGED]:
            outcome = ADMITTED
            if nid == src_nid:
                outcome = ALREADY_THERE
            elif not promotable[nid]:
                outcome = NO_TARGET
            else:
                latency_ms = (candidate.latency * 1000 + hz - 1) // hz
                outcome = judge(
                    pgdat[nid], enough[nid], candidate.pages, latency_ms, window_ms,
                    rate_limit, now_ms, count_refused,
                )
                if outcome == ADMITTED and (
                    not candidate.movable or candidate.pages > room[nid]
                ):
                    outcome = NOT_ISOLATED
            candidate.outcome = outcome
            if outcome != ADMITTED:
                state[NEXT] += 1
                continue
            if state[COUNT] and (
                nid != state[CUR_NID] or candidate.memcg != state[CUR_MEMCG]
            ):
                state[JUDGED] = 1
                return True
        state[JUDGED] = 0
        state[CUR_NID] = nid
        state[CUR_MEMCG] = candidate.memcg
        state[CUR_WALK] = candidate.walk
        batch[state[COUNT]] = state[NEXT]
        state[COUNT] += 1
        state[NEXT] += 1
        if state[COUNT] >= batch_max:
            return True
    return False


def no_batch() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Give the state of `fill_batch` before a first candidate."""
    state = np.zeros(STATE, np.int64)
    state[CUR_NID] = NUMA_NO_NODE
    return state
