"""The facts of every page, by PFN: the sparse memory model as arrays.

A section that is present has a slot; what is known of PFN p stands at
`slot * PAGES_PER_SECTION + p % PAGES_PER_SECTION` of each array.  Hot maps use the same
places, so one look-up finds a page's facts and its record.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import grown
from pghot.engine.jit import compiled
from pghot.engine.units import NUMA_NO_NODE, PAGES_PER_SECTION, PFN_SECTION_SHIFT

# A page with no flag is online, referenced, on the LRU, of order 0, and on the node of its
# section.  Flags of a compound folio stand at its first page, but for the first two.
OFFLINE = 1
ZONE_DEVICE = 2
UNREFERENCED = 4
OFF_LRU = 8
COMPOUND = 16
MOVED = 32
UNMOVABLE = 64

NOT_ONLINE = OFFLINE | ZONE_DEVICE

PFN_MASK = PAGES_PER_SECTION - 1


class Pages(NamedTuple):
    """The arrays of a `MemMap` as compiled loops take them."""

    slot_of: npt.NDArray[np.int32]
    section: npt.NDArray[np.int64]
    nid: npt.NDArray[np.int16]
    has_compound: npt.NDArray[np.uint8]
    has_facts: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    compound: npt.NDArray[np.int32]
    page_nid: npt.NDArray[np.int16]
    memcg: npt.NDArray[np.uint32]


@compiled
def place_of(slot_of: Any, pfn: Any) -> Any:
    """Give the place of a PFN (u64), -1 where its section is not present."""
    section = pfn >> np.uint64(PFN_SECTION_SHIFT)
    if section >= np.uint64(len(slot_of)):
        return -1
    slot = np.int64(slot_of[section]) - 1
    return (slot << PFN_SECTION_SHIFT) | np.int64(pfn & np.uint64(PFN_MASK)) if slot >= 0 else -1


@compiled
def head_of(slot_of: Any, flags: Any, compound: Any, place: int, pfn: int) -> Any:
    """Give the place of the first page of the folio that has page `pfn`, which is at `place`."""
    if not flags[place] & COMPOUND or compound[place] > 0:
        return place
    return place_of(slot_of, np.uint64(pfn + np.int64(compound[place])))


@compiled
def node_at(flags: Any, page_nid: Any, section_nid: Any, head: int) -> Any:
    """Give the node that the folio whose first page is at `head` is on now."""
    if flags[head] & MOVED:
        return np.int64(page_nid[head])
    return np.int64(section_nid[head >> PFN_SECTION_SHIFT])


# Compiled loops take arrays out of their tuple once, before the loop: Numba counts a
# reference each time one is taken out, which costs more than the work in the loop.


class MemMap:
    """Sections and pages of a machine.

    Arrays by section number: `slot_of` (slot + 1; 0 where the section is not present).
    Arrays by slot: `section` (its number, -1 for a free slot), `nid` (the node it belongs
    to), `has_compound`, `has_facts` (whether a page of it ever had a flag), `has_memcg`
    (whether a folio of it ever had a memcg).  Arrays by place: `flags` (the constants
    above), `compound` (pages of the folio at its first page, minus the distance to it at
    the others), `page_nid` (where MOVED is set), `memcg` (at the folio's first page).
    """

    def __init__(self) -> None:
        self.slot_of: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.section: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.nid: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self.has_compound: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.has_facts: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.has_memcg: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.flags: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.compound: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.page_nid: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self.memcg: npt.NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._arrays = self._gathered()

    def arrays(self) -> Pages:
        """Give the arrays for compiled loops; they hold until sections are added."""
        return self._arrays

    def _gathered(self) -> Pages:
        return Pages(*(getattr(self, name) for name in Pages._fields))

    @property
    def slots(self) -> int:
        """Slots there are, free ones too."""
        return len(self.section)

    def add_sections(self, start_pfn: int, pages: int, nid: int) -> None:
        """Make the sections of a range present, all of node `nid`; whole sections only."""
        numbers = np.arange(
            start_pfn >> PFN_SECTION_SHIFT, (start_pfn + pages) >> PFN_SECTION_SHIFT
        )
        if not len(numbers):
            return
        self._reach(int(numbers[-1]))
        if self.slot_of[numbers].any():
            raise ValueError(f"sections from PFN {start_pfn} on are present already")
        free = np.flatnonzero(self.section < 0)[: len(numbers)]
        fresh = np.arange(self.slots, self.slots + len(numbers) - len(free))
        slots = np.concatenate([free, fresh])
        self._grow(len(fresh))
        self.slot_of[numbers] = slots + 1
        self.section[slots] = numbers
        self.nid[slots] = nid
        self._arrays = self._gathered()

    def remove_sections(self, start_pfn: int, pages: int) -> None:
        """Forget the sections of a range and every fact of their pages."""
        for number in range(
            start_pfn >> PFN_SECTION_SHIFT, (start_pfn + pages) >> PFN_SECTION_SHIFT
        ):
            slot = int(self.slot_of[number]) - 1
            self.slot_of[number] = 0
            self.section[slot] = -1
            self.has_compound[slot] = self.has_facts[slot] = self.has_memcg[slot] = 0
            place = slice(slot * PAGES_PER_SECTION, (slot + 1) * PAGES_PER_SECTION)
            for facts in (self.flags, self.compound, self.page_nid, self.memcg):
                facts[place] = 0

    def slots_of_node(self, nid: int) -> npt.NDArray[np.int64]:
        """Slots of the present sections that belong to a node, in PFN order."""
        slots = np.flatnonzero((self.section >= 0) & (self.nid == nid))
        return slots[np.argsort(self.section[slots])]

    def place(self, pfn: int) -> int:
        """Give the place of a PFN in the arrays, -1 where its section is not present."""
        number = pfn >> PFN_SECTION_SHIFT
        slot = int(self.slot_of[number]) - 1 if 0 <= number < len(self.slot_of) else -1
        return -1 if slot < 0 else slot * PAGES_PER_SECTION + pfn % PAGES_PER_SECTION

    def places(self, pfns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Give the places of PFNs of which all are present."""
        pfn = pfns.astype(np.int64)
        slots: npt.NDArray[np.int64] = self.slot_of[pfn >> PFN_SECTION_SHIFT].astype(np.int64) - 1
        return slots * PAGES_PER_SECTION + pfn % PAGES_PER_SECTION

    def nids_of(self, pfns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Give the node whose section each PFN is in, -1 where it is in none."""
        number = np.minimum(pfns >> np.uint64(PFN_SECTION_SHIFT), len(self.slot_of)).astype(
            np.int64
        )
        slot = np.append(self.slot_of, 0)[number].astype(np.int64) - 1
        return np.where(slot >= 0, self.nid[slot], NUMA_NO_NODE).astype(np.int64)

    def set_folio(self, pfn: int, pages: int, memcg: int = 0, *, lru: bool = True) -> None:
        """Make a folio of `pages` pages from `pfn` on; its pages were order-0 before."""
        head = self._present(pfn)
        self.memcg[head] = memcg
        self.has_memcg[head // PAGES_PER_SECTION] = 1
        self.set_flags(pfn, OFF_LRU, on=not lru)
        if pages == 1:
            return
        self._present(pfn + pages - 1)
        places = self.places(np.arange(pfn, pfn + pages, dtype=np.uint64))
        self.compound[places] = -np.arange(pages, dtype=np.int32)
        self.compound[head] = pages
        self.flags[places] |= COMPOUND
        slots = np.unique(places // PAGES_PER_SECTION)
        self.has_compound[slots] = self.has_facts[slots] = 1

    def learn(
        self,
        pfns: npt.NDArray[np.uint64],
        pages: npt.NDArray[np.int64],
        memcgs: npt.NDArray[np.uint32],
    ) -> npt.NDArray[np.bool_]:
        """Take in that folios start at `pfns`, of so many pages and these memcgs.

        Folios that were thought to be there and overlap them fall into pages.  Gives which
        of the facts are new.  All PFNs are of sections that are present.
        """
        places = self.places(pfns)
        size = np.where(self.flags[places] & COMPOUND, self.compound[places], 1)
        resized = size != pages
        new: npt.NDArray[np.bool_] = resized | (self.memcg[places] != memcgs)
        self.memcg[places] = memcgs
        self.has_memcg[places // PAGES_PER_SECTION] = 1
        for pfn, count, memcg in zip(
            pfns[resized].tolist(), pages[resized].tolist(), memcgs[resized].tolist(), strict=True
        ):
            self._split(pfn, count)
            self.set_folio(pfn, count, memcg)
        return new

    def _split(self, pfn: int, pages: int) -> None:
        """Make pages of every folio that has one of these."""
        places = self.places(np.arange(pfn, pfn + pages, dtype=np.uint64))
        for at in np.flatnonzero(self.flags[places] & COMPOUND).tolist():
            if not self.flags[places[at]] & COMPOUND:  # went with the one before
                continue
            head = self.folio_pfn(pfn + at)
            size = int(self.compound[self._present(head)])
            parts = self.places(np.arange(head, head + size, dtype=np.uint64))
            self.compound[parts] = 0
            self.flags[parts] &= 0xFF ^ COMPOUND

    def set_flags(self, pfn: int, flags: int, *, on: bool = True) -> None:
        """Set or clear flags of one page (of a folio: at its first page)."""
        place = self._present(pfn)
        if on:
            self.flags[place] |= flags
            self.has_facts[place // PAGES_PER_SECTION] = 1
        else:
            self.flags[place] &= ~flags & 0xFF

    def folio_pfn(self, pfn: int) -> int:
        """Give the first PFN of the folio that `pfn` is in."""
        return pfn + min(0, int(self.compound[self._present(pfn)]))

    def folio_nid(self, pfn: int) -> int:
        """Give the node that a page is on now, -1 where its section is not present."""
        place = self.place(pfn)
        if place < 0:
            return NUMA_NO_NODE
        head = self._present(self.folio_pfn(pfn))
        if self.flags[head] & MOVED:
            return int(self.page_nid[head])
        return int(self.nid[head // PAGES_PER_SECTION])

    def move_folio(self, pfn: int, nid: int) -> None:
        """Put the folio that starts at `pfn` on another node; it keeps its PFNs."""
        place = self._present(pfn)
        self.page_nid[place] = nid
        self.set_flags(pfn, MOVED, on=int(self.nid[place // PAGES_PER_SECTION]) != nid)

    def _present(self, pfn: int) -> int:
        place = self.place(pfn)
        if place < 0:
            raise ValueError(f"PFN {pfn} is in no section that is present")
        return place

    def _reach(self, number: int) -> None:
        if number >= len(self.slot_of):
            self.slot_of = _longer(self.slot_of, number + 1)

    def _grow(self, slots: int) -> None:
        first = self.slots
        facts, memcgs = self.has_facts, self.has_memcg
        self.section = _longer(self.section, first + slots)
        self.section[first:] = -1
        self.nid = _longer(self.nid, first + slots)
        self.has_compound = _longer(self.has_compound, first + slots)
        self.has_facts = _longer(facts, first + slots)
        self.has_memcg = _longer(memcgs, first + slots)
        for name in ("flags", "compound", "page_nid"):
            setattr(self, name, grown(getattr(self, name), self.slots, facts))
        self.memcg = grown(self.memcg, self.slots, memcgs)


def _longer(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """Give a copy with zeros after it: of an array by section or slot, which is small."""
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
