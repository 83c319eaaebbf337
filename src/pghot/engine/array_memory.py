"""A machine of arrays for replays: pages keep their PFN, a promotion changes their node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pghot.engine.array_mover import ArrayMover
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import BoolArray, Folio, Node, U64Array, Zone
from pghot.engine.pass_mover import PassMover, no_frames


class ArrayMemory:
    """Nodes of one zone each, whose free pages follow the promotions (R9.6).

    A promotion of n pages takes n from the target's free pages and gives n to the
    source's.  It fails where the target has fewer.
    """

    def __init__(self, nodes: Iterable[Node], folios: Iterable[Folio] = ()) -> None:
        self._nodes = {node.id: node for node in sorted(nodes, key=lambda node: node.id)}
        self.frames = no_frames()
        """Pages by node."""
        for node in self._nodes.values():
            self._count(node)
        self.offline: set[int] = set()
        """Nodes that are not online."""
        self._mem_map = MemMap()
        for node in self._nodes.values():
            self._mem_map.add_ranges(node.ranges, node.id)
        for folio in folios:
            self._mem_map.set_folio(folio.pfn, folio.pages, folio.memcg, lru=folio.lru)

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""
        return self._mem_map

    def mover(self, _most: int) -> PassMover | None:
        """What moves the folios of a whole pass, `_most` at the most."""
        return self._array_mover()

    def add_node(self, node: Node) -> None:
        """Hot-add a node, its memory not yet announced to an engine."""
        self._mem_map.add_ranges(node.ranges, node.id)
        self._nodes[node.id] = node
        self._count(node)

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory, ascending."""
        return sorted(nid for nid, node in self._nodes.items() if node.pages)

    def node_ids(self) -> Sequence[int]:
        """Ids of all nodes, also of those without memory, ascending."""
        return sorted(self._nodes)

    @property
    def known_nids(self) -> Sequence[int]:
        """Ids of all nodes, with memory or without."""
        return self.nodes()

    def node_online(self, nid: int) -> bool:
        """Whether the node is there and online."""
        return nid in self._nodes and nid not in self.offline

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is there and in the top tier."""
        return nid in self._nodes and self._nodes[nid].toptier

    def free_pages(self, nid: int) -> int:
        """Pages of the node that are free now; 0 for an id that names none."""
        return int(self.frames.free[nid]) if nid in self._nodes else 0

    def present_pages(self, nid: int) -> int:
        """Pages of the node; 0 for an id that names none."""
        return self.laid_out(nid)

    def laid_out(self, nid: int) -> int:
        """Pages that the node was made with; unlike `present_pages`, the same in a host replay."""
        return self._nodes[nid].pages if nid in self._nodes else 0

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's one zone."""
        if nid not in self._nodes:
            return ()
        return (Zone(int(self.frames.free[nid]), self._nodes[nid].promo_wmark),)

    def headroom(self, nid: int) -> int:
        """Pages of the largest folio that finds room on the node now."""
        return self.free_pages(nid)

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move folios to the node in this order, as far as each finds room in its turn."""
        moved = np.zeros(len(pfns), np.bool_)
        mover = self._array_mover()
        mover.go_to(nid)
        mover.move_all(pfns, moved)
        return moved

    def count_moved(self, from_nid: int, to_nid: int, pages: int) -> None:
        """Count pages as free on one node, and as taken on another."""
        self.frames.free[from_nid] += pages
        self.frames.free[to_nid] -= pages

    def _array_mover(self) -> ArrayMover:
        return ArrayMover(self.frames, self._mem_map)

    def _count(self, node: Node) -> None:
        self.frames.free[node.id] = node.free_pages
        self.frames.present[node.id] = node.pages
        self.frames.promo_wmark[node.id] = node.promo_wmark
