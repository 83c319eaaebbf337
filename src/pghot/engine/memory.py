"""What the engine asks of a machine, and the plain values that describe one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pghot.engine.mem_map import MemMap
from pghot.engine.pfn_ranges import PfnRange, ascending

U64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]
I64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Node:
    """A NUMA node with memory: one range of PFNs, or by `of_ranges` any number of them.

    One range is PFNs `start_pfn` up to `start_pfn + pages`.  Of several, `start_pfn` is the
    first PFN and `pages` counts them all, holes left out; `ranges` has as few as can be.
    `free_pages` is what is free before the first access, `promo_wmark` the promotion
    watermark of its one zone; both in pages.  ValueError where ranges are empty or do not
    ascend.
    """

    id: int
    start_pfn: int
    pages: int
    toptier: bool
    cpus: tuple[int, ...] = ()
    free_pages: int = 0
    promo_wmark: int = 0
    ranges: tuple[PfnRange, ...] = ()

    def __post_init__(self) -> None:
        """Bring `ranges` into their one form."""
        ranges = self.ranges
        if self.pages and not ranges:
            ranges = (PfnRange(self.start_pfn, self.start_pfn + self.pages),)
        try:
            ranges = ascending(ranges)
        except ValueError as error:
            raise ValueError(f"node {self.id}: {error}") from None
        if ranges and (self.start_pfn, self.pages) != _extent(ranges):
            raise ValueError(f"node {self.id}: start_pfn and pages are not those of its ranges")
        object.__setattr__(self, "ranges", ranges)

    @classmethod
    def of_ranges(
        cls,
        id: int,  # noqa: A002 - the field's name
        ranges: Iterable[tuple[int, int]],
        *,
        toptier: bool,
        cpus: tuple[int, ...] = (),
        free_pages: int = 0,
        promo_wmark: int = 0,
    ) -> Node:
        """A node of these ranges, each its first PFN and the PFN after its last, ascending."""
        given = tuple(PfnRange(*one) for one in ranges)
        return cls(id, *_extent(given), toptier, cpus, free_pages, promo_wmark, given)

    @property
    def end_pfn(self) -> int:
        """First PFN after the node."""
        return self.ranges[-1].end if self.ranges else self.start_pfn


def _extent(ranges: Sequence[PfnRange]) -> tuple[int, int]:
    """First PFN of ranges, and pages of all; of none, zeros."""
    return ranges[0].start if ranges else 0, sum(one.pages for one in ranges)


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


class TargetChooser(Protocol):
    """What a `Memory` may have beside: it says where folios go (fidelity `improved`)."""

    def aim(
        self,
        from_nid: int,
        pfns: U64Array,
        cpu_nids: npt.NDArray[np.int64],
        default: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """The node that each folio at `pfns`, on `from_nid`, goes to, the hottest first.

        `cpu_nids` is the node of the CPU that accessed it last, -1 unknown; `default` is where
        it would go otherwise.  An id that is no target leaves the folio where it is.
        """

    def is_target(self, nid: int) -> bool:
        """Whether folios may be promoted to the node."""


class Memory(Protocol):
    """A machine: the simulated one, a live host, or the arrays of a replay.

    Between two calls of `migrate` the engine takes `zones` and `room` to be constant.  A
    machine of nothing but arrays may have `mover(most)` as well, which gives a `PassMover` for a
    pass that moves at most so many folios: it moves them, and `migrate` is not called.
    """

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory (N_MEMORY), ascending."""

    @property
    def known_nids(self) -> Sequence[int]:
        """Ids of all nodes, with memory or without."""

    def node_online(self, nid: int) -> bool:
        """Whether the node is online; False for an id that names none."""

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is in the top tier; False for an id that names none."""

    def present_pages(self, nid: int) -> int:
        """Pages of the node, holes left out."""

    def zones(self, nid: int) -> Iterable[Zone]:
        """The populated zones of the node; none for an id that names none."""

    def headroom(self, nid: int) -> int:
        """Pages of the largest folio that can be isolated now to move to the node."""

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move the folios that start at `pfns`, in this order, to the node; say which moved.

        All belong to one memcg and were isolated before.  One that cannot move is put back.
        """
