"""Records by section, section hot flags, hotplug (R1, R6.10; patch 3)."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import grown, thicken
from pghot.engine.hot_map_arrays import Maps
from pghot.engine.layout import Layout
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import Memory
from pghot.engine.units import BLOCK_SHIFT, PAGES_PER_SECTION, PFN_SECTION_SHIFT

BLOCKS = PAGES_PER_SECTION >> BLOCK_SHIFT
"""Blocks of records in a section."""

THICK = 4
"""Records get huge pages where one section in so many of those that share it is touched."""


class MapArrays(NamedTuple):
    """The arrays that `Maps` points into."""

    records: npt.NDArray[Any]
    has_map: npt.NDArray[np.uint8]
    hot: npt.NDArray[np.uint8]
    touched: npt.NDArray[np.uint8]
    ready: npt.NDArray[np.uint8]
    marks: npt.NDArray[np.uint8]


class HotMap:
    """The hot maps of a machine's sections.

    By index `records`; by slot `has_map` and `hot` (whether a section has a hot map and
    whether its hot flag is up), `touched` (whether it may hold a record that is not zero);
    by block of 4,096 records `ready` (whether one may be ready).  One thread at a time may
    change them; nothing here is atomic.
    """

    def __init__(self, mem_map: MemMap, layout: Layout) -> None:
        self.mem_map = mem_map
        self.layout = layout
        self.records: npt.NDArray[Any] = np.zeros(0, layout.dtype)
        self.has_map: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.hot: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.touched: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.ready: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.version = 0
        """Goes up when a section gets or loses its hot map."""
        self._maps: Maps | None = None
        self._thick: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._known = 0

    def maps(self) -> Maps:
        """Pointers for loops, with room for every section there is."""
        self.follow()
        if self._maps is None:
            marks = np.zeros(len(self.ready), np.uint8)
            self._maps = Maps(
                MapArrays(self.records, self.has_map, self.hot, self.touched, self.ready, marks)
            )
        return self._maps

    def setup(self, memory: Memory) -> None:
        """Allocate a hot map for every present section of a lower-tier node, as at boot.

        MemoryError where there is no memory for one; then there is none at all.
        """
        self.follow()
        present = np.flatnonzero(self.mem_map.section >= 0)
        try:
            for slot in present:
                if not memory.node_is_toptier(int(self.mem_map.nid[slot])):
                    self._allocate(int(slot))
        except MemoryError:
            self.free(present)
            raise

    def on_toptier(self, memory: Memory, pfn: int) -> bool:
        """Whether the section of a PFN is of a top-tier node."""
        self.follow()
        slot = int(self._slots(pfn, 1)[0])
        return slot >= 0 and memory.node_is_toptier(int(self.mem_map.nid[slot]))

    def going_online(self, start_pfn: int, pages: int) -> int:
        """Give the sections of a range hot maps, of any tier (defect 15): 0 or -ENOMEM.

        All or nothing: where one cannot be had, those of the range before it are freed,
        also ones that were there already.
        """
        self.follow()
        slots = self._slots(start_pfn, pages)
        for at, slot in enumerate(slots):
            if slot < 0 or self.has_map[slot]:
                continue
            try:
                self._allocate(int(slot))
            except MemoryError:
                self.free(slots[:at])
                return -errno.ENOMEM
        return 0

    def offline(self, start_pfn: int, pages: int) -> None:
        """Free the hot maps of a range: memory went offline, or coming online was cancelled."""
        self.follow()
        self.free(self._slots(start_pfn, pages))

    def free(self, slots: npt.NDArray[np.int64]) -> None:
        """Free hot maps, their records and their hot flags."""
        for slot in slots[slots >= 0]:
            self.records[slot * PAGES_PER_SECTION : (slot + 1) * PAGES_PER_SECTION] = 0
            self.ready[slot * BLOCKS : (slot + 1) * BLOCKS] = 0
            self.has_map[slot] = self.hot[slot] = self.touched[slot] = 0
        self.version += 1

    def put(self, indices: npt.NDArray[np.int64], records: npt.NDArray[Any]) -> None:
        """Write records that are not zero, and raise the hot flags of those that are ready."""
        self.records[indices] = records
        self.touched[indices >> PFN_SECTION_SHIFT] = 1
        ready = indices[(records & self.layout.ready_mask) != 0]
        self.ready[ready >> BLOCK_SHIFT] = 1
        self.hot[ready >> PFN_SECTION_SHIFT] = 1

    def is_ready(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which pages have a record that is ready, by their indices (-1: no page)."""
        there = (indices >= 0) & (indices < len(self.records))
        records = self.records[np.where(there, indices, 0)] if there.any() else 0
        return there & ((records & self.layout.ready_mask) != 0)

    def nonzero(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.unsignedinteger]]:
        """PFNs that have a record other than zero, ascending, and their records."""
        found = []
        for slot in self.mem_map_order(self.touched):
            base = int(slot) * PAGES_PER_SECTION
            records = self.records[base : base + PAGES_PER_SECTION]
            at = np.flatnonzero(records)
            start = int(self.mem_map.section[slot]) << PFN_SECTION_SHIFT
            found.append((at.astype(np.uint64) + np.uint64(start), records[at]))
        if not found:
            return np.zeros(0, np.uint64), np.zeros(0, self.layout.dtype)
        return (
            np.concatenate([pfns for pfns, _ in found]),
            np.concatenate([records for _, records in found]),
        )

    def hot_sections(self) -> npt.NDArray[np.uint32]:
        """Numbers of the sections whose hot flag is up, ascending."""
        return self.mem_map.section[self.mem_map_order(self.hot)].astype(np.uint32)

    def mem_map_order(self, mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Slots that `mask` marks, in PFN order."""
        slots = np.flatnonzero(mask)
        return slots[np.argsort(self.mem_map.section[slots])]

    def follow(self) -> None:
        """Make room for sections that the machine has got since; they have no hot map yet."""
        more = self.mem_map.slots - len(self.has_map)
        if more <= 0:
            return
        used = self.touched.astype(np.int64) * PAGES_PER_SECTION
        self.records = grown(self.records, self.mem_map.slots, used)
        self.has_map, self.hot, self.touched = (
            np.concatenate([flags, np.zeros(more, np.uint8)])
            for flags in (self.has_map, self.hot, self.touched)
        )
        self.ready = np.concatenate([self.ready, np.zeros(more * BLOCKS, np.uint8)])
        self._maps = None
        self._thick = np.zeros(-(-self.mem_map.slots // self._sharing), np.bool_)
        self._known = 0
        self.version += 1

    def thicken(self) -> None:
        """Take huge pages for records where many sections that would share one are touched."""
        touched = int(np.count_nonzero(self.touched))
        if touched <= self._known:
            return
        self._known = touched
        share = np.add.reduceat(
            self.touched, np.arange(0, len(self.touched), self._sharing), dtype=np.int64
        )
        for at in np.flatnonzero((share * THICK >= self._sharing) & ~self._thick).tolist():
            first = at * self._sharing * PAGES_PER_SECTION
            thicken(self.records, first, first + self._sharing * PAGES_PER_SECTION)
            self._thick[at] = True

    @property
    def _sharing(self) -> int:
        """Sections whose records share a huge page."""
        return (2 << 20) // (PAGES_PER_SECTION * np.dtype(self.layout.dtype).itemsize)

    def _allocate(self, slot: int) -> None:
        """Allocate one section's records, all zero as by kcalloc()."""
        self.has_map[slot] = 1
        self.version += 1

    def _slots(self, start_pfn: int, pages: int) -> npt.NDArray[np.int64]:
        first = start_pfn >> PFN_SECTION_SHIFT
        last = -(-(start_pfn + pages) // PAGES_PER_SECTION)
        known = self.mem_map.slot_of[first:last].astype(np.int64)
        return known - 1
