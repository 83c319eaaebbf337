"""What the engine asks of a machine, and the plain values that describe one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pghot.engine.mem_map import MemMap

U64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node with memory: PFNs `start_pfn` up to `start_pfn + pages`.

    `free_pages` is what is free before the first access, `promo_wmark` the promotion
    watermark of its one zone; both in pages.
    """

    id: int
    start_pfn: int
    pages: int
    toptier: bool
    cpus: tuple[int, ...] = ()
    free_pages: int = 0
    promo_wmark: int = 0

    @property
    def end_pfn(self) -> int:
        """First PFN after the node."""
        return self.start_pfn + self.pages


@dataclass(frozen=True, slots=True)
class Folio:
    """A folio that is not an ordinary page: compound, of a memcg, or off the LRU.

    `pfn` is its first PFN; `pages` need not be a power of two, nor aligned.
    """

    pfn: int
    pages: int = 1
    memcg: int = 0
    lru: bool = True


class Zone(NamedTuple):
    """What the throttle reads of a zone, in pages; made anew for every batch."""

    free_pages: int
    promo_wmark: int


class Memory(Protocol):
    """A machine: the simulated one, a live host, or the arrays of a replay.

    Between two calls of `migrate` the engine takes `zones` and `room` to be constant.  A
    machine of nothing but arrays may have a `frames` as well (`frames.Frames`): whole passes
    of kmigrated then move there by the rules of `ArrayMemory`, and `migrate` is not called.
    """

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory (N_MEMORY), ascending."""

    def node_online(self, nid: int) -> bool:
        """Tell whether the node is online; False for an id that names none."""

    def node_is_toptier(self, nid: int) -> bool:
        """Tell whether the node is in the top tier; False for an id that names none."""

    def present_pages(self, nid: int) -> int:
        """Pages of the node, holes left out."""

    def zones(self, nid: int) -> Iterable[Zone]:
        """Give the populated zones of the node; none for an id that names none."""

    def room(self, nid: int) -> int:
        """Pages of the largest folio that can be isolated now to move to the node."""

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move the folios that start at `pfns`, in this order, to the node; say which moved.

        All belong to one memcg and were isolated before.  One that cannot move is put back.
        """
