"""Where a replay begins: pages placed anew within the machine's headroom, before any access.

A page that moves up keeps its PFN as its name, as one that is promoted does.  One that
moves down takes the PFN of a frame there that the log never accesses: only frames of lower
tiers have records.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pghot.baselines.folios import (
    BoolArray,
    FirstTouches,
    Headroom,
    I64Array,
    U64Array,
    headroom_for,
    placed_fast,
)
from pghot.baselines.placements import filled, first_touch, interleaved, slow_first
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.distinct import distinct
from pghot.engine.memory import Node
from pghot.engine.page_flags import OFF_LRU
from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
from pghot.errors import InputError
from pghot.log.schema import Columns

LOGGED = "logged"
_PLACES: dict[str, Callable[[FirstTouches, Headroom], BoolArray]] = {
    "first-touch": first_touch,
    "interleave": interleaved,
    "slow": slow_first,
}
STARTS = (LOGGED, *_PLACES)
"""Where a replay may begin: `logged` is where the log's PFNs are on the machine."""


class Renamed(NamedTuple):
    """Folios that got other PFNs: their first old ones, ascending, first new ones, sizes."""

    old: U64Array
    new: U64Array
    pages: U64Array

    @classmethod
    def nothing(cls) -> Renamed:
        """What renames nothing."""
        return cls(*(np.zeros(0, np.uint64) for _ in cls._fields))

    def rows(self, columns: Columns) -> Columns:
        """Rows with the PFNs that pages have now."""
        if not len(self.old):
            return columns
        pfns = columns["pfn"]
        at = np.maximum(np.searchsorted(self.old, pfns, side="right"), 1) - 1
        within = pfns - self.old[at]  # wraps for one below the first
        moved = np.where(within < self.pages[at], self.new[at] + within, pfns)
        return columns | {"pfn": moved}


def started(
    touched: FirstTouches, headroom: Headroom, nodes: tuple[Node, ...], start: str
) -> BoolArray:
    """Say which folios begin on the top tier, where `start` is another than `logged`.

    First touch leaves the promo watermarks free, as kswapd does: what is promoted goes there.
    """
    if start == "first-touch":
        kept = sum(node.promo_wmark for node in nodes if node.toptier)
        headroom = headroom._replace(fast=max(headroom.fast - kept, 0))
    return _PLACES[start](touched, headroom)


def place(
    memory: ArrayMemory, nodes: tuple[Node, ...], touched: FirstTouches, start: str
) -> Renamed:
    """Put folios where `started` has them; say which were renamed.

    InputError where the lower tiers have no frames left over to name them by.
    """
    fast = placed_fast(touched, memory.mem_map, nodes)
    wanted = started(touched, headroom_for(touched, fast, nodes), nodes, start)
    down, up = np.flatnonzero(fast & ~wanted), np.flatnonzero(~fast & wanted)
    renamed = _down(memory, touched, down, [node.id for node in nodes if not node.toptier])
    _up(memory, touched, up, [node.id for node in nodes if node.toptier])
    return renamed


def _up(memory: ArrayMemory, touched: FirstTouches, which: I64Array, tops: list[int]) -> None:
    for nid in tops:
        fit = filled(touched.pages[which], memory.free_pages(nid))
        memory.migrate(touched.pfn[which[fit]], nid)
        which = which[~fit]


def _down(
    memory: ArrayMemory, touched: FirstTouches, which: I64Array, lower: list[int]
) -> Renamed:
    """Name folios by frames of lower tiers, node by node as these have frames."""
    old, new = [], []
    for nid in lower:
        starts = _unused(memory, touched, touched.pages[which], nid)
        done, which = which[: len(starts)], which[len(starts) :]
        _take_over(memory, touched.pfn[done], starts, touched.pages[done])
        old.append(done)
        new.append(starts)
    if len(which):
        raise InputError(
            f"the lower tiers have no frames for {int(touched.pages[which].sum())} pages that "
            "the log has on the top tier: name a larger machine with --machine"
        )
    at = np.concatenate([np.zeros(0, np.int64), *old])
    names = np.concatenate([np.zeros(0, np.uint64), *new])
    order = np.argsort(touched.pfn[at])
    at = at[order]
    return Renamed(touched.pfn[at], names[order], touched.pages[at].astype(np.uint64))


def _unused(memory: ArrayMemory, touched: FirstTouches, sizes: I64Array, nid: int) -> U64Array:
    """First PFNs, on a node, of runs that no folio of the log or the machine has.

    One for each of `sizes`, in that order, as far as there are such; from the end of the
    node on, each aligned to the largest size.
    """
    if not len(sizes):
        return np.zeros(0, np.uint64)
    mem_map = memory.mem_map
    length = 1 << (int(sizes.max()) - 1).bit_length()
    in_use = distinct(_every_page(touched) // np.uint64(length))
    found: list[U64Array] = [np.zeros(0, np.uint64)]
    missing = len(sizes)
    for slot in reversed(mem_map.slots_of_node(nid).tolist()):
        first = int(mem_map.section[slot]) << PFN_SECTION_SHIFT
        starts = np.arange(first, first + PAGES_PER_SECTION, length, dtype=np.uint64)[::-1]
        starts = starts[~np.isin(starts // np.uint64(length), in_use)]
        if mem_map.has_facts[slot]:
            starts = starts[_ordinary(memory, starts, length)]
        found.append(starts[:missing])
        missing -= len(found[-1])
        if not missing:
            break
    return np.concatenate(found)


def _ordinary(memory: ArrayMemory, starts: U64Array, length: int) -> BoolArray:
    """Say which runs of `length` pages hold nothing but ordinary pages."""
    known = memory.mem_map.known(np.add.outer(starts, np.arange(length, dtype=np.uint64)).ravel())
    plain = (known.pages == 1) & (known.memcg == 0) & (known.flags & np.uint8(OFF_LRU) == 0)
    ordinary: BoolArray = plain.reshape(-1, length).all(axis=1)
    return ordinary


def _every_page(touched: FirstTouches) -> U64Array:
    """The PFN of every page of the folios."""
    ends = np.cumsum(touched.pages)
    within = np.arange(touched.footprint) - np.repeat(ends - touched.pages, touched.pages)
    return np.repeat(touched.pfn, touched.pages) + within.astype(np.uint64)


def _take_over(memory: ArrayMemory, old: U64Array, new: U64Array, pages: I64Array) -> None:
    """Make the frames from `new` on hold the folios from `old` on, and count both nodes' pages."""
    mem_map = memory.mem_map
    known = mem_map.known(old)
    off_lru = known.flags & np.uint8(OFF_LRU) != 0
    for at in np.flatnonzero((pages > 1) | (known.memcg != 0) | off_lru).tolist():
        lru = not off_lru[at]
        mem_map.set_folio(int(new[at]), int(pages[at]), int(known.memcg[at]), lru=lru)
    for here in distinct(known.nid).tolist() if len(new) else ():
        moved = int(pages[known.nid == here].sum())
        memory.count_moved(here, int(mem_map.nids_of(new[:1])[0]), moved)
