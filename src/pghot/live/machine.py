"""A live host as the engine's `Memory`: frames stay where they are, folios move away.

A replay keeps a page's PFN as its name; on a host a promoted page gets another frame, and
its old one may come back with other content on it.  So no page here is ever "moved": its
PFN says where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pghot.driving.answer_log import Values
from pghot.driving.outside_events import Online, rows_of
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import BoolArray, U64Array, Zone
from pghot.engine.pfn_ranges import PfnRange, merge, subtract
from pghot.engine.units import NID_MAX, PAGE_SHIFT
from pghot.linux.host import Host
from pghot.linux.nodes.machine_form import MachineForm, machine_form
from pghot.linux.nodes.topology import Topology
from pghot.linux.nodes.zoneinfo import ZoneInfo, read_again
from pghot.live.aiming import Aiming

WAKING = 512
"""Host pages that may be asked for at each wake-up where there is hardly room: a huge folio."""

SHARE = 8
"""Zones are read anew once what has moved is more than one in so many pages of their room."""


class Mover(Protocol):
    """Who moves folios, whatever that takes."""

    def move(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move the folios that start at `pfns` to the node; say which moved."""


class HostMachine:
    """Nodes, zones and page metadata of a host.

    All in 4 KiB pages, as the log and the engine count.
    """

    def __init__(self, host: Host, topology: Topology, mover: Mover) -> None:
        self._host = host
        self._mover = mover
        self._topology = topology
        self._scale = topology.page_size >> PAGE_SHIFT
        self._zones: dict[int, list[ZoneInfo]] = {}
        self._unread = 0
        self._waking = WAKING
        self.aiming: Aiming | None = None
        self._mem_map = MemMap()
        self._form = machine_form(topology)
        self._ranges: dict[int, tuple[PfnRange, ...]] = {}
        for nid, ranges in self._form.ranges.items():
            self._mem_map.add_ranges(ranges, nid)
            self._ranges[nid] = ranges

    @property
    def mem_map(self) -> MemMap:
        """The facts of every page, by PFN."""
        return self._mem_map

    @property
    def topology(self) -> Topology:
        """The host as it was seen last."""
        return self._topology

    @property
    def form(self) -> MachineForm:
        """The machine file of the host as it was seen last."""
        return self._form

    def nids_of(self, pfns: U64Array) -> npt.NDArray[np.int64]:
        """The node of each page, -1 where no node has it."""
        return self._mem_map.nids_of(pfns)

    def nids_of_host(self, pfns: U64Array) -> npt.NDArray[np.int64]:
        """The node of each page of the host's own size, -1 where no node has it."""
        return self.nids_of(pfns * np.uint64(self._scale))

    @property
    def toptier(self) -> BoolArray:
        """Of each node id, and last of none, whether it is in the top tier."""
        top = np.zeros(NID_MAX + 2, np.bool_)
        for node in self._topology.nodes:
            top[node.id] = node.toptier
        return top

    @property
    def lower_tier_pages(self) -> int:
        """Pages that are in no top tier: those that can have a record."""
        return sum(
            one.pages
            for nid, ranges in self._ranges.items()
            if not self.node_is_toptier(nid)
            for one in ranges
        )

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory, ascending."""
        return [node.id for node in self._topology.nodes if node.serves]

    @property
    def known_nids(self) -> Sequence[int]:
        """Ids of all nodes, with memory or without."""
        return [node.id for node in self._topology.nodes]

    def node_online(self, nid: int) -> bool:
        """Whether the node is online."""
        node = self._topology.node(nid)
        return node is not None and not node.left_out

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is in the top tier."""
        node = self._topology.node(nid)
        return node is not None and node.toptier

    def present_pages(self, nid: int) -> int:
        """Pages of the node, holes left out."""
        node = self._topology.node(nid)
        return sum(zone.present for zone in node.zones) * self._scale if node else 0

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's zones as they are now."""
        return [
            Zone(zone.free * self._scale, promo_wmark(zone) * self._scale)
            for zone in self._of_node(nid)
        ]

    def free_pages(self, nid: int) -> int:
        """Pages of the node that are free now: for people, not for the engine."""
        return sum(zone.free for zone in self._of_node(nid)) * self._scale

    def headroom(self, nid: int) -> int:
        """Pages of the largest folio that some zone has room for, well above its min watermark.

        What a low zone keeps for those who can use no other is no room.  The series wakes
        kswapd where there is none above the high one (migrate_misplaced_folio_prepare(),
        mm/migrate.c), which no system call does: here the allocations of move_pages wake it.
        """
        return self._room_of(nid)

    def aim(
        self,
        from_nid: int,
        pfns: U64Array,
        cpu_nids: npt.NDArray[np.int64],
        default: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """The node that each folio goes to (`aiming`)."""
        if self.aiming is None:
            return default
        return self.aiming.targets(
            self._topology, from_nid, pfns, cpu_nids, default, self._room_of
        )

    def is_target(self, nid: int) -> bool:
        """Whether folios may be promoted to the node."""
        if self.aiming is None:
            return self.node_is_toptier(nid)
        return self.node_is_toptier(nid) or self.aiming.is_target(self._topology, nid)

    def _room_of(self, nid: int) -> int:
        return max(map(self._room, self._of_node(nid)), default=0) * self._scale

    def _room(self, zone: ZoneInfo) -> int:
        """The zone's pages that a process may take: half way up from its min watermark to low.

        An allocation that finds less than the low watermark wakes kswapd, which then makes room
        up to the promotion watermark (mm/page_alloc.c, __alloc_pages_slowpath()): move_pages is
        such an allocation, so what it asks for below that mark is what makes room.  One that
        finds less than min reclaims by itself, and if that brings nothing the kernel's log has
        a stack trace of it (warn_alloc()): others allocate too, so half of what lies between is
        left to them.  kswapd may sleep all the same, so a little of it is asked for each time.
        """
        above_min = zone.free - zone.min - zone.protection
        return max(above_min - (zone.low - zone.min) // 2, min(above_min // 2, self._waking), 0)

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move folios to the node; say which moved."""
        moved = self._mover.move(pfns, nid)
        pages = self._host_pages(pfns)
        self._waking = max(self._waking - pages, 0)
        if moved.all():
            self._fill(nid, pages)
        else:  # for want of room, perhaps
            self._zones.clear()
        return moved

    def _host_pages(self, pfns: U64Array) -> int:
        folios = self._mem_map.known(pfns).pages
        return -(-int(folios.sum()) // self._scale)

    def _fill(self, nid: int, pages: int) -> None:
        """Take what has moved from the room there was; read anew once much of it is gone.

        Reading all zones of a large host takes as long as moving a batch.  What others take
        or free is seen at the next wake-up, and after a share of the room that is the smaller
        the less there is.
        """
        self._unread += pages
        zones = self._zones.get(nid, [])
        for at, zone in reversed(list(enumerate(zones))):  # as the allocator falls back
            taken = min(pages, self._room(zone))
            zones[at] = replace(zone, free=zone.free - taken)
            pages -= taken
        if pages or self._unread * SHARE > max(map(self._room, zones), default=0):
            self._zones.clear()

    def look_again(self) -> None:
        """Forget what was read of the zones: time has passed."""
        self._zones.clear()
        self._waking = WAKING

    def learn(self, pfns: U64Array, pages: U64Array, memcgs: U64Array) -> Values:
        """Take in the folios that accesses fell on: rows (`Folios`) of those not known so."""
        new = self._mem_map.learn(pfns, pages.astype(np.int64), memcgs.astype(np.uint32))
        return rows_of(pfns[new], pages[new], memcgs[new].astype(np.uint32))

    def follow(self, topology: Topology) -> list[Online]:
        """Take in how the host looks now: what memory is new.

        It may lie anywhere.  A section that went offline and came back is the node's it was.
        """
        form = machine_form(topology)
        self._topology, self._form = topology, form
        grown = []
        for nid, ranges in form.ranges.items():
            known = [one for own in self._ranges.values() for one in own]
            fresh = subtract(ranges, known)
            self._ranges[nid] = merge([*self._ranges.get(nid, ()), *fresh])
            grown += [(one.start, one.pages, nid) for one in fresh]
        for start, pages, nid in grown:
            self._mem_map.add_sections(start, pages, nid)
        return [
            Online(start, pages, nid, toptier=self.node_is_toptier(nid))
            for start, pages, nid in grown
        ]

    def _of_node(self, nid: int) -> list[ZoneInfo]:
        if not self._zones:
            self._unread = 0
            known = [zone for node in self._topology.nodes for zone in node.zones]
            for zone in read_again(self._host, known):
                self._zones.setdefault(zone.node, []).append(zone)
        return self._zones.get(nid, [])


def promo_wmark(zone: ZoneInfo) -> int:
    """A zone's promotion watermark in host pages.

    Where the kernel does not show it, it is made as the kernel makes it: as far above high
    as high is above low (mm/page_alloc.c, __setup_per_zone_wmarks()).
    """
    return zone.promo if zone.promo is not None else zone.high + (zone.high - zone.low)
