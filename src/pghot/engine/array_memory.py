"""A machine of arrays for replays: pages keep their PFN, a promotion changes their node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pghot.engine.mem_map import MemMap
from pghot.engine.memory import BoolArray, Folio, Node, U64Array, Zone


class ArrayMemory:
    """Nodes of one zone each, whose free pages follow the promotions (replay.md).

    A promotion of n pages takes n from the target's free pages and gives n to the
    source's.  It fails where the target has fewer.
    """

    def __init__(self, nodes: Iterable[Node], folios: Iterable[Folio] = ()) -> None:
        self._nodes = {node.id: node for node in sorted(nodes, key=lambda node: node.id)}
        self.free_pages = {nid: node.free_pages for nid, node in self._nodes.items()}
        """Free pages by node id."""
        self.offline: set[int] = set()
        """Nodes that are not online."""
        self._mem_map = MemMap()
        for node in self._nodes.values():
            self._mem_map.add_sections(node.start_pfn, node.pages, node.id)
        for folio in folios:
            self._mem_map.set_folio(folio.pfn, folio.pages, folio.memcg, lru=folio.lru)

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""
        return self._mem_map

    def add_node(self, node: Node) -> None:
        """Hot-add a node, its memory not yet announced to an engine."""
        self._mem_map.add_sections(node.start_pfn, node.pages, node.id)
        self._nodes[node.id] = node
        self.free_pages[node.id] = node.free_pages

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory, ascending."""
        return sorted(nid for nid, node in self._nodes.items() if node.pages)

    def node_online(self, nid: int) -> bool:
        """Tell whether the node is there and online."""
        return nid in self._nodes and nid not in self.offline

    def node_is_toptier(self, nid: int) -> bool:
        """Tell whether the node is there and in the top tier."""
        return nid in self._nodes and self._nodes[nid].toptier

    def present_pages(self, nid: int) -> int:
        """Pages of the node; 0 for an id that names none."""
        return self._nodes[nid].pages if nid in self._nodes else 0

    def zones(self, nid: int) -> Iterable[Zone]:
        """Give the node's one zone."""
        if nid in self._nodes:
            yield Zone(self.free_pages[nid], self._nodes[nid].promo_wmark)

    def room(self, nid: int) -> int:
        """Pages of the largest folio that finds room on the node now."""
        return self.free_pages.get(nid, 0)

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move folios to the node in this order, as far as each finds room in its turn."""
        pages = self._mem_map.pages_of(pfns)
        moved = self._that_fit(pages, self.free_pages[nid])
        for source, count in self._leaving(pfns[moved], pages[moved]):
            self.free_pages[source] += count
            self.free_pages[nid] -= count
        self._mem_map.move(pfns[moved], nid)
        return moved

    def _that_fit(self, pages: np.ndarray[tuple[int], np.dtype[np.int64]], free: int) -> BoolArray:
        """Say which folios find room when each that does takes its pages."""
        moved = np.ones(len(pages), np.bool_)
        if int(pages.sum()) <= free:
            return moved
        for at, count in enumerate(pages):
            moved[at] = count <= free
            free -= int(count) if moved[at] else 0
        return moved

    def _leaving(
        self, pfns: U64Array, pages: np.ndarray[tuple[int], np.dtype[np.int64]]
    ) -> Iterable[tuple[int, int]]:
        """Give the nodes that folios leave and the pages that each gets back."""
        mem_map = self._mem_map
        nids = mem_map.nids_of(pfns)
        for nid in np.unique(nids):
            yield int(nid), int(pages[nids == nid].sum())
