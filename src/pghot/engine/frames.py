"""Free pages by node as arrays, and moving a folio among them (replay.md, "What happens").

A machine that is nothing but arrays says so by a `frames`: kmigrated then moves all batches
of a pass in one compiled loop, instead of asking the machine for each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.mem_map import MOVED, node_at, place_of
from pghot.engine.throttle import has_free_room
from pghot.engine.units import PFN_SECTION_SHIFT
from pghot.engine.walk import COUNT, CUR_MEMCG, CUR_NID, NOT_MIGRATED, fill_batch, no_batch


class Frames(NamedTuple):
    """Pages by node id: free now, present, and the promotion watermark of its one zone."""

    free: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    promo_wmark: npt.NDArray[np.int64]


MOVED_BATCH = np.dtype(
    [
        ("folios", np.int64),
        ("nid", np.int64),
        ("memcg", np.int64),
        ("pages_moved", np.int64),
    ]
)
"""A batch that has been tried: its folios, target, memcg, and the pages that moved."""


@compiled
def move_folio(
    pfn: Any,
    nid: int,
    slot_of: Any,
    section_nid: Any,
    has_facts: Any,
    flags: Any,
    compound: Any,
    page_nid: Any,
    free: Any,
) -> Any:
    """Put the folio that starts at `pfn` on another node: its pages, 0 where it has no room."""
    place = place_of(slot_of, pfn)
    size = max(np.int64(compound[place]), 1)
    if size > free[nid]:
        return 0
    free[node_at(flags, page_nid, section_nid, place)] += size
    free[nid] -= size
    page_nid[place] = nid
    if section_nid[place >> PFN_SECTION_SHIFT] == nid:
        flags[place] &= 0xFF ^ MOVED
    else:
        flags[place] |= MOVED
        has_facts[place >> PFN_SECTION_SHIFT] = 1
    return size


@compiled
def move_all(pfns: Any, nid: int, pages: Any, free: Any, moved: Any) -> None:
    """Put folios on another node one after the other; `moved` says which found room."""
    slot_of, _section, section_nid, _compounds, has_facts, flags, compound, page_nid, _m = pages
    for i in range(len(pfns)):
        size = move_folio(
            pfns[i], nid, slot_of, section_nid, has_facts, flags, compound, page_nid, free
        )
        moved[i] = size > 0


@compiled
def promote_all(
    candidates: Any,
    src_nid: int,
    pgdat: Any,
    targets: Any,
    limits: Any,
    as_stack: bool,
    pages: Any,
    frames: Any,
    order: Any,
    moved: Any,
    batches: Any,
) -> int:
    """Judge candidates in order and move all batches that they make; give their number.

    `order` gets the candidates' indices in the order tried, `moved` whether each moved,
    both batch after batch; `batches` what each was.  `as_stack`: the last folio isolated
    is migrated first.
    """
    slot_of, _section, section_nid, _compounds, has_facts, flags, compound, page_nid, _m = pages
    free, present, promo_wmark = frames
    enough, room, _promotable = targets
    state = no_batch()
    batch = np.empty(min(limits.batch_max, len(candidates)), np.int64)
    tried = done = 0
    more = True
    while more:
        more = fill_batch(candidates, state, batch, src_nid, pgdat, targets, limits)
        count, nid = state[COUNT], state[CUR_NID]
        if not count:
            continue
        pages_moved = 0
        for i in range(count):
            index = batch[count - 1 - i] if as_stack else batch[i]
            size = move_folio(
                np.uint64(candidates[index].pfn),
                nid,
                slot_of,
                section_nid,
                has_facts,
                flags,
                compound,
                page_nid,
                free,
            )
            if not size:
                candidates[index].outcome = NOT_MIGRATED
            order[tried] = index
            moved[tried] = size > 0
            pages_moved += size
            tried += 1
        enough[nid] = has_free_room(free[nid], promo_wmark[nid], present[nid])
        room[nid] = free[nid]
        batches[done].folios = count
        batches[done].nid = nid
        batches[done].memcg = state[CUR_MEMCG]
        batches[done].pages_moved = pages_moved
        done += 1
        state[COUNT] = 0
    return done
