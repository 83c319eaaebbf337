"""The folios that a log accesses, and the headroom there is for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.mem_map import MemMap
from pghot.engine.memory import Node

I64Array = npt.NDArray[np.int64]
U64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FirstTouches:
    """Folios in the order of their first accesses, arrays of one length.

    `pfn`: the first of each; `pages`: its size; `early`, `late`: its accesses in the first
    and in the second half of the log.  `late` None: only the whole is known, in `early`.
    """

    pfn: U64Array
    pages: I64Array
    early: I64Array
    late: I64Array | None = None

    def __len__(self) -> int:
        return len(self.pfn)

    @property
    def accesses(self) -> I64Array:
        """Accesses in the whole log."""
        return self.early if self.late is None else self.early + self.late

    @property
    def footprint(self) -> int:
        """Pages of all folios."""
        return int(self.pages.sum())

    def as_folios(self, mem_map: MemMap) -> FirstTouches:
        """The folios that these pages are of; a folio comes with the first of its pages."""
        if mem_map.kinds.all_single:
            return self
        known = mem_map.known(self.pfn)
        if (known.pages == 1).all():
            return self
        _heads, first, which = np.unique(known.head, return_index=True, return_inverse=True)
        order = np.argsort(first)
        late = None if self.late is None else _sums(which, self.late)[order]
        at = first[order]
        return FirstTouches(known.head[at], known.pages[at], _sums(which, self.early)[order], late)


class Headroom(NamedTuple):
    """Pages that the folios of a log may take on the top tier, and below it."""

    fast: int
    slow: int


def headroom_for(touched: FirstTouches, on_fast: BoolArray, nodes: Iterable[Node]) -> Headroom:
    """What is free on the nodes, and what the folios take where they are placed now."""
    nodes = list(nodes)
    held = int(touched.pages[on_fast].sum())
    fast = sum(node.free_pages for node in nodes if node.toptier)
    slow = sum(node.free_pages for node in nodes if not node.toptier)
    return Headroom(fast + held, slow + touched.footprint - held)


def placed_fast(touched: FirstTouches, mem_map: MemMap, nodes: Iterable[Node]) -> BoolArray:
    """Which folios the machine has on the top tier before anything moves."""
    nids = mem_map.nids_of(touched.pfn)
    on_fast = np.zeros(len(nids), np.bool_)
    for node in nodes:
        if node.toptier:
            on_fast |= nids == node.id
    return on_fast


def _sums(which: I64Array, counts: I64Array) -> I64Array:
    sums = np.zeros(int(which.max()) + 1, np.int64)
    np.add.at(sums, which, counts)
    return sums
