"""The memory of the simulated machine: what the engine asks of one (engine.memory.Memory).

Unlike a replay, a folio that moves gets other frames; the ones it had are free and hold
something else later, whose record they keep: as on a real machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import BoolArray, U64Array, Zone
from pghot.engine.page_flags import COMPOUND, UNREFERENCED
from pghot.engine.page_kinds import PageKind
from pghot.engine.pass_mover import PassMover, no_frames
from pghot.engine.units import NID_MAX, PAGES_PER_SECTION
from pghot.simulated.machine.folios import (
    FolioArrays,
    FolioMover,
    FolioMoves,
    Folios,
    Placement,
    move_folios,
    no_folios,
)
from pghot.simulated.machine.frames import HUGE_PAGES, NONE, Lists, add_frames, free_lists
from pghot.simulated.machine.watermarks import Watermarks

Moved = Callable[[Folios, npt.NDArray[np.int16], int], None]
"""Told of every move: folios, the node of each before, the node now."""


@dataclass(frozen=True, slots=True)
class SimNode:
    """A node of `pages` pages from `start_pfn` on; CPU ids; the marks of its one zone.

    `frames` of its pages are laid out; the others are never needed and stay free.
    """

    id: int
    start_pfn: int
    pages: int
    frames: int
    toptier: bool
    cpus: tuple[int, ...]
    wmark: Watermarks


class SimulatedMemory:
    """Nodes, frames and folios.  Every folio is on exactly one node."""

    def __init__(self, nodes: Iterable[SimNode], *, absent: Iterable[int] = ()) -> None:
        self.all = {node.id: node for node in nodes}
        self._online: dict[int, SimNode] = {}
        self._mem_map = MemMap()
        end = max(node.start_pfn + node.frames for node in self.all.values())
        self.lists = free_lists(end)
        self._lists = Lists(self.lists)
        self._frames = no_frames()._replace(free=self.lists.free)
        self._reserve = np.zeros(NID_MAX + 1, np.int64)
        self._rows = self._mem_map.write_rows(
            (PageKind(UNREFERENCED), PageKind(COMPOUND, pages=-HUGE_PAGES))
        )
        self.folios: FolioArrays = no_folios()
        self.folio_of: npt.NDArray[np.int32] = np.zeros(end, np.int32)
        """The folio that starts at a PFN; of frames that are in use alone."""
        self._told: list[Moved] = []
        self._moves: dict[int, list[tuple[Folios, npt.NDArray[np.int16]]]] = {}
        self._gathering = False
        self.on_top: BoolArray = np.zeros(max(self.all) + 2, np.bool_)
        """Whether a node is in the top tier, by id; the last is for -1, no node."""
        for node in self.all.values():
            self.on_top[node.id] = node.toptier
        self.largest = 1
        """Pages of the largest folio there is."""
        self.short: set[int] = set()
        """Nodes that were asked for room and had none for a folio: kswapd is woken there."""
        self.distance: Callable[[int, int], int] = lambda _cpu_node, _nid: 0
        """How far a node is from a CPU's, as its world has it."""
        absent = set(absent)
        for nid in sorted(self.all.keys() - absent):
            self.online(nid)

    def tell(self, moved: Moved) -> None:
        """Have `moved` called after every move."""
        self._told.append(moved)

    def online(self, nid: int) -> SimNode:
        """Bring a node's memory online, not yet announced to an engine."""
        node = self.all[nid]
        self._mem_map.add_sections(node.start_pfn, node.frames, nid)
        add_frames(self.lists, nid, node.start_pfn, node.frames, node.pages)
        self._online[nid] = node
        self._frames.present[nid] = node.pages
        self._frames.promo_wmark[nid] = node.wmark.promo
        self._frames.kept[nid] = node.wmark.high + 1
        self._reserve[nid] = node.wmark.min
        return node

    def add_folios(self, count: int, pages: int, memcg: int, flags: npt.NDArray[np.uint8]) -> int:
        """Add folios that have no frames yet; the number of the first."""
        first = len(self.folios.pfn)
        rows, which = np.unique(flags, return_inverse=True)
        large = COMPOUND if pages > 1 else 0
        numbers = self._mem_map.write_rows(
            tuple(PageKind(int(own) | large, 0, pages, memcg) for own in rows.tolist())
        )
        self.largest = max(self.largest, pages)
        self.folios = FolioArrays(
            np.concatenate([self.folios.pfn, np.full(count, NONE, np.int64)]),
            np.concatenate([self.folios.nid, np.full(count, NONE, np.int16)]),
            np.concatenate([self.folios.pages, np.full(count, pages, np.int32)]),
            np.concatenate([self.folios.memcg, np.full(count, memcg, np.uint32)]),
            np.concatenate([self.folios.flags, flags]),
            np.concatenate([self.folios.row, numbers[which]]),
        )
        return first

    def allocate(self, folios: Folios, nid: int, reserve: int) -> npt.NDArray[np.bool_]:
        """Allocate the first frames of folios on a node while more than `reserve` stay free."""
        return self._move(folios, nid, reserve)

    def move(self, folios: Folios, nid: int) -> npt.NDArray[np.bool_]:
        """Move folios to a node as far as it has frames above its min mark; which moved."""
        before = self.folios.nid[folios]
        moved = self._move(folios, nid, self.all[nid].wmark.min)
        self._moves.setdefault(nid, []).append((folios[moved], before[moved]))
        if not self._gathering:
            self._tell()
        return moved

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Report the moves made inside at its end, all of a target at once."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._tell()

    def folios_at(self, pfns: U64Array) -> Folios:
        """The folios that start at these PFNs."""
        return self.folio_of[pfns.astype(np.int64)].astype(np.int64)

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""
        return self._mem_map

    def nodes(self) -> Sequence[int]:
        """Ids of the online nodes that have memory, ascending."""
        return sorted(nid for nid, node in self._online.items() if node.pages)

    @property
    def known_nids(self) -> Sequence[int]:
        """Ids of all nodes, with memory or without."""
        return [*self._online]

    def node_online(self, nid: int) -> bool:
        """Whether the node is there and online."""
        return nid in self._online

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is there and in the top tier."""
        return nid in self._online and self.all[nid].toptier

    def present_pages(self, nid: int) -> int:
        """Pages of the node; 0 for an id that names none."""
        return self.all[nid].pages if nid in self._online else 0

    def free_pages(self, nid: int) -> int:
        """Pages of the node that are free now."""
        return int(self.lists.free[nid])

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's one zone."""
        if nid not in self._online:
            return ()
        return (Zone(self.free_pages(nid), self.all[nid].wmark.promo),)

    def headroom(self, nid: int) -> int:
        """Pages of the largest folio that may come now: free pages stay over the high mark.

        Where a folio may not find room the node is `short`: kswapd is woken if one does not
        (mm/migrate.c, migrate_misplaced_folio_prepare(), migrate_balanced_pgdat()).
        """
        if nid not in self._online:
            return 0
        room = self.free_pages(nid) - self.all[nid].wmark.high - 1
        if room < self.largest:
            self.short.add(nid)
        return max(room, 0)

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move the folios that start at `pfns` to the node; which moved."""
        return self.move(self.folios_at(pfns), nid)

    def mover(self, most: int) -> PassMover:
        """What moves the folios of a whole pass, `most` at the most."""
        return FolioMover(self._frames, self._reserve, self._placement(), most, self._has_moved)

    def _has_moved(self, moves: FolioMoves) -> None:
        """Take note of what moved in a pass."""
        for nid in distinct(moves.to_nid).tolist():
            there = moves.to_nid == nid
            self._moves.setdefault(nid, []).append((moves.folios[there], moves.from_nid[there]))
            self.headroom(nid)  # it is least now: the node may be short
        if not self._gathering:
            self._tell()

    def _placement(self) -> Placement:
        return Placement(
            self.folios, self._mem_map.pages(), self._lists, self.folio_of, self._rows
        )

    def _tell(self) -> None:
        moves, self._moves = self._moves, {}
        for nid, parts in sorted(moves.items()):
            folios, before = (np.concatenate(column) for column in zip(*parts, strict=True))
            for tell in self._told if len(folios) else ():
                tell(folios, before, nid)

    def _move(self, folios: Folios, nid: int, reserve: int) -> npt.NDArray[np.bool_]:
        wanted = np.ascontiguousarray(folios, np.int64)
        moved: npt.NDArray[np.bool_] = move_folios(wanted, nid, reserve, self._placement())
        return moved


def frames_needed(pages: int, wanted: int) -> int:
    """The frames to lay out of a node of `pages`, where folios of `wanted` pages exist.

    Whole sections; one more than the folios could ever fill, for blocks split in part.
    """
    most = min(pages, wanted + PAGES_PER_SECTION)
    return -(-most // PAGES_PER_SECTION) * PAGES_PER_SECTION
