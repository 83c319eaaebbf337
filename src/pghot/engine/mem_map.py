"""What is known of every page, by PFN: the sparse memory model as arrays.

A section that is present has a slot; page p of it is at index
`slot * PAGES_PER_SECTION + p % PAGES_PER_SECTION` of each array by index.  Hot maps use the
same indices, so one look-up finds a page's metadata and its record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.growing import grown
from pghot.engine.look_up import indices_at, known_at, nids_at
from pghot.engine.page_flags import (
    COMPOUND,
    NOT_ONLINE,
    ODD,
    OFF_LRU,
    PALETTE_SHIFT,
    UNREFERENCED,
    WHOLE,
)
from pghot.engine.page_kinds import Kinds, PageKind
from pghot.engine.pages import Pages, kinds_at, put_kinds, tail_pages
from pghot.engine.pfn_arrays import pfns_of
from pghot.engine.pfn_ranges import PfnRange, subtract, whole_sections
from pghot.engine.units import NUMA_NO_NODE, PAGES_PER_SECTION, PFN_SECTION_SHIFT

_STEPS_BY_ONE = NOT_ONLINE | UNREFERENCED
"""What has kmigrated step by one page where it stands on a folio of more."""

I64Array = npt.NDArray[np.int64]
U64Array = npt.NDArray[np.uint64]


class Arrays(NamedTuple):
    """The arrays that `Pages` points into."""

    slot_of: npt.NDArray[np.int32]
    section: I64Array
    nid: npt.NDArray[np.int16]
    irregular: npt.NDArray[np.uint8]
    has_facts: npt.NDArray[np.uint8]
    width: npt.NDArray[np.uint8]
    codes: npt.NDArray[np.uint16]
    palette: npt.NDArray[np.uint16]
    more_rows: npt.NDArray[np.uint16]
    row_flags: npt.NDArray[np.uint8]
    row_nid: npt.NDArray[np.int16]
    row_pages: npt.NDArray[np.int32]
    row_memcg: npt.NDArray[np.uint32]
    odd_index: I64Array


class Known(NamedTuple):
    """Metadata of pages, item by item: `head` is the folio's first PFN, `pages` its size.

    `flags`, `nid` and `memcg` are of the first page; the first two flags of the page itself.
    """

    flags: npt.NDArray[np.uint8]
    nid: I64Array
    head: U64Array
    pages: I64Array
    memcg: npt.NDArray[np.uint32]

    @classmethod
    def empty(cls, count: int) -> Known:
        """Arrays for so many pages, nothing written yet."""
        return cls(
            np.empty(count, np.uint8),
            np.empty(count, np.int64),
            np.empty(count, np.uint64),
            np.empty(count, np.int64),
            np.empty(count, np.uint32),
        )


class MemMap:
    """Sections and pages of a machine.

    Arrays by section number: `slot_of` (slot + 1; 0 where the section is not present).
    Arrays by slot: `section` (its number, -1 for a free slot), `nid` (the node it belongs
    to), `has_facts` (whether a page of it ever was of another kind than 0), `irregular`
    (whether kmigrated may step through it otherwise than from folio to folio).
    """

    def __init__(self) -> None:
        self.slot_of: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self.section: I64Array = np.zeros(0, np.int64)
        self.nid: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self.has_facts: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.irregular: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._width: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._codes: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._palette: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)
        self._more_rows: npt.NDArray[np.uint16] = np.zeros(0, np.uint16)
        self.kinds = Kinds()
        """The kinds of pages there are."""
        self._pages: Pages | None = None
        self._made = 0
        self._order: dict[int, I64Array] = {}
        self.version = 0
        """Goes up when sections come or go."""

    def pages(self) -> Pages:
        """Pointers for loops; they hold until sections, or kinds of pages, are added."""
        kinds = self.kinds
        if self._pages is None or kinds.changed:
            self._forget_pages()
            kinds.changed = False
            self._pages = Pages(
                Arrays(
                    self.slot_of,
                    self.section,
                    self.nid,
                    self.irregular,
                    self.has_facts,
                    self._width,
                    self._codes,
                    self._palette,
                    self._more_rows,
                    *kinds.arrays(),
                )
            )
        return self._pages

    @property
    def facts_made(self) -> int:
        """Goes up when a section gets its first page of another kind than 0, or a new palette."""
        return self._made + (self._pages.facts_made if self._pages is not None else 0)

    def rows_on(self, nid: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """By row, the row of such a folio once it is on `nid`: a foreign node, its own."""
        rows = self.kinds.moved_to(nid)
        self.pages()
        return rows

    @property
    def nbytes(self) -> int:
        """Bytes of the pages' codes: of the sections that have a page of another kind than 0."""
        return 2 * int(self._code_items(np.flatnonzero(self.has_facts)).sum())

    @property
    def slots(self) -> int:
        """Slots there are, free ones too."""
        return len(self.section)

    def add_sections(self, start_pfn: int, pages: int, nid: int) -> None:
        """Make the sections of a range present, all of node `nid`; whole sections only."""
        self.add_ranges([PfnRange(start_pfn, start_pfn + pages)], nid)

    def add_ranges(self, ranges: Sequence[PfnRange], nid: int) -> None:
        """Make the sections that have a page of these ranges present, all of node `nid`.

        Their other pages are holes, as in the kernel's memmap: there, and never online.
        """
        sections = whole_sections(ranges)
        if not sections:
            return
        numbers = np.concatenate(
            [np.arange(*(pfn >> PFN_SECTION_SHIFT for pfn in one)) for one in sections]
        )
        self._reach(int(numbers[-1]))
        if self.slot_of[numbers].any():
            raise ValueError(f"sections from PFN {sections[0].start} on are present already")
        free = np.flatnonzero(self.section < 0)[: len(numbers)]
        fresh = np.arange(self.slots, self.slots + len(numbers) - len(free))
        slots = np.concatenate([free, fresh])
        self._grow(len(fresh))
        self.slot_of[numbers] = slots + 1
        self.section[slots] = numbers
        self.nid[slots] = nid
        self._sections_changed()
        holes = pfns_of(subtract(sections, ranges))
        self._change(self.indices(holes), PageKind.not_online)

    def remove_sections(self, start_pfn: int, pages: int) -> None:
        """Forget the sections of a range and all that is known of their pages."""
        for number in range(
            start_pfn >> PFN_SECTION_SHIFT, (start_pfn + pages) >> PFN_SECTION_SHIFT
        ):
            slot = int(self.slot_of[number]) - 1
            self.slot_of[number] = 0
            self.section[slot] = -1
            self.has_facts[slot] = self.irregular[slot] = 0
            start = slot * PAGES_PER_SECTION
            self._codes[start : start + self._code_items(slot)] = 0
            self._width[slot] = self._more_rows[slot] = 0
            self.kinds.drop_odd(np.arange(start, start + PAGES_PER_SECTION))
        self._sections_changed()

    def slots_of_node(self, nid: int) -> I64Array:
        """Slots of the present sections that belong to a node, in PFN order."""
        if nid not in self._order:
            slots = np.flatnonzero((self.section >= 0) & (self.nid == nid))
            self._order[nid] = slots[np.argsort(self.section[slots])]
        return self._order[nid]

    def index(self, pfn: int) -> int:
        """Index of a PFN in the arrays, -1 where its section is not present."""
        number = pfn >> PFN_SECTION_SHIFT
        slot = int(self.slot_of[number]) - 1 if 0 <= number < len(self.slot_of) else -1
        return -1 if slot < 0 else slot * PAGES_PER_SECTION + pfn % PAGES_PER_SECTION

    def indices(self, pfns: U64Array) -> I64Array:
        """Indices of PFNs, -1 where a section is not present."""
        indices = np.empty(len(pfns), np.int64)
        indices_at(self.slot_of, np.ascontiguousarray(pfns, np.uint64), indices)
        return indices

    def nids_of(self, pfns: U64Array) -> I64Array:
        """Node whose section each PFN is in, -1 where it is in none."""
        nids = np.empty(len(pfns), np.int64)
        nids_at(self.slot_of, self.nid, np.ascontiguousarray(pfns, np.uint64), nids)
        return nids

    def known(self, pfns: U64Array) -> Known:
        """What is known of pages; all are of sections that are present."""
        known = Known.empty(len(pfns))
        known_at(self.pages(), np.ascontiguousarray(pfns, np.uint64), known)
        return known

    def tail_pages(self, slot: int) -> int:
        """Pages of a section that are not the first of their folio."""
        if not self.has_facts[slot]:
            return 0
        return tail_pages(self.pages(), slot)

    def set_folio(self, pfn: int, pages: int, memcg: int = 0, *, lru: bool = True) -> None:
        """Make a folio of `pages` pages from `pfn` on; its pages were order-0 before."""
        indices = self._indices_of(pfn, pages)
        off_lru = 0 if lru else OFF_LRU
        self._change(
            indices[:1],
            lambda row: row._replace(flags=(row.flags & ~OFF_LRU) | off_lru, memcg=memcg),
        )
        if pages > 1:
            self._make_compound(pfn, indices)

    def learn(
        self, pfns: U64Array, pages: I64Array, memcgs: npt.NDArray[np.uint32]
    ) -> npt.NDArray[np.bool_]:
        """Take in that folios start at `pfns`, of so many pages and these memcgs.

        Folios that were thought to be there and overlap them fall into pages.  Says which
        of that is new.  All PFNs are of sections that are present.
        """
        known = self.known(pfns)
        size = np.where(known.head == pfns, known.pages, 0)
        resized = size != pages
        new: npt.NDArray[np.bool_] = resized | (known.memcg != memcgs)
        indices = self.indices(pfns)
        for memcg in distinct(memcgs[new]).tolist():
            same = new & ~resized & (memcgs == memcg)
            self._change(indices[same], partial(PageKind.of_memcg, memcg=memcg))
            for count in distinct(pages[resized & (memcgs == memcg)]).tolist():
                fresh = pfns[resized & (memcgs == memcg) & (pages == count)]
                self._make_folios(fresh, count, memcg)
        return new

    def _make_folios(self, pfns: U64Array, pages: int, memcg: int) -> None:
        """Make folios of one size and memcg, of pages or of what was thought to be there."""
        every: U64Array = np.add.outer(pfns, np.arange(pages, dtype=np.uint64)).ravel()
        aligned = _aligned(pages) and not (pfns % np.uint64(pages)).any()
        if not aligned or (self.known(every).pages > 1).any():
            for pfn in pfns.tolist():
                self._split(pfn, pages)
                self.set_folio(pfn, pages, memcg)
            return
        indices = self.indices(every).reshape(-1, pages)
        self._change(
            indices[:, 0], lambda row: row._replace(flags=row.flags & ~OFF_LRU, memcg=memcg)
        )
        self._make_aligned(indices)

    def set_flags(self, pfn: int, flags: int, *, on: bool = True) -> None:
        """Set or clear flags of one page (of a folio: at its first page)."""
        index = np.array([self._present(pfn)])
        if on:
            self._change(index, lambda row: row._replace(flags=row.flags | flags))
        else:
            self._change(index, lambda row: row._replace(flags=row.flags & ~flags))

    def folio_pfn(self, pfn: int) -> int:
        """First PFN of the folio that `pfn` is in."""
        self._present(pfn)
        return int(self.known(np.array([pfn], np.uint64)).head[0])

    def folio_nid(self, pfn: int) -> int:
        """Node that a page is on now, -1 where its section is not present."""
        if self.index(pfn) < 0:
            return NUMA_NO_NODE
        return int(self.known(np.array([pfn], np.uint64)).nid[0])

    def move_folio(self, pfn: int, nid: int) -> None:
        """Put the folio that starts at `pfn` on another node; it keeps its PFNs."""
        index = self._present(pfn)
        if int(self.nid[index // PAGES_PER_SECTION]) == nid:
            self._change(np.array([index]), lambda row: row.at_home())
        else:
            self._change(np.array([index]), lambda row: row.moved_to(nid))

    def write_rows(self, rows: tuple[PageKind, ...]) -> npt.NDArray[np.int32]:
        """Numbers of rows that loops write by themselves (`Pages`)."""
        numbers = np.array([self.kinds.number(row) for row in rows], np.int32)
        self.pages()
        return numbers

    def _code_items(self, slots: Any) -> Any:
        """How many items of a section's codes are in use, by how wide they are."""
        return (PAGES_PER_SECTION >> WHOLE) << self._width[slots].astype(np.int64)

    def _make_compound(self, pfn: int, indices: I64Array) -> None:
        """Make one folio of these pages, which are all order-0."""
        size = len(indices)
        if not _aligned(size) or pfn % size:
            self.irregular[distinct(indices // PAGES_PER_SECTION)] = 1
            rows = [self.kinds.row(number) for number in self._rows(indices).tolist()]
            self._set_odd(
                indices,
                [
                    row._replace(flags=row.flags | COMPOUND, pages=-at or size, odd=True)
                    for at, row in enumerate(rows)
                ],
            )
            return
        self._make_aligned(indices.reshape(1, size))

    def _make_aligned(self, indices: I64Array) -> None:
        """Make each line of pages, all order-0, one folio."""
        size = indices.shape[1]
        if size == 1:
            return
        for part, pages in ((indices[:, 0], size), (indices[:, 1:].ravel(), -size)):
            self._change(
                part,
                partial(PageKind.in_folio, pages=pages),
            )

    def _split(self, pfn: int, pages: int) -> None:
        """Make pages of every folio that has one of these."""
        known = self.known(np.arange(pfn, pfn + pages, dtype=np.uint64))
        for at in np.unique(known.head[known.pages > 1], return_index=True)[1].tolist():
            whole = np.flatnonzero(known.pages > 1)[at]
            indices = self._indices_of(int(known.head[whole]), int(known.pages[whole]))
            self._change(
                indices, lambda row: row._replace(flags=row.flags & ~COMPOUND, pages=1, odd=False)
            )

    def _change(self, indices: I64Array, change: Callable[[PageKind], PageKind]) -> None:
        """Replace the rows of pages by what `change` makes of them."""
        if not len(indices):
            return
        numbers, which = np.unique(self._rows(indices), return_inverse=True)
        made = [change(self.kinds.row(number)) for number in numbers.tolist()]
        odd = np.array([row.odd for row in made])
        if odd.any():
            own = odd[which]
            self._set_odd(indices[own], [made[at] for at in which[own].tolist()])
            indices, which = indices[~own], which[~own]
        if len(indices):
            self._set_shared(indices, made, which)

    def _rows(self, indices: I64Array) -> I64Array:
        """Numbers of the rows of pages."""
        rows = self._kinds(indices)
        odd = np.flatnonzero(rows == ODD)
        if len(odd):
            rows[odd] = self.kinds.odd_rows(indices[odd])
        return rows

    def _kinds(self, indices: I64Array) -> I64Array:
        """Numbers of the shared rows of pages, ODD of odd ones."""
        rows = np.empty(len(indices), np.uint16)
        kinds_at(self.pages(), np.ascontiguousarray(indices).view(np.uint64), rows)
        return rows.astype(np.int64)

    def _put(self, indices: I64Array, numbers: I64Array) -> None:
        put_kinds(self.pages(), np.ascontiguousarray(indices).view(np.uint64), numbers)

    def _set_shared(self, indices: I64Array, rows: list[PageKind], which: I64Array) -> None:
        """Assign pages rows that they share with others: `rows[which]`."""
        if (self._kinds(indices) == ODD).any():
            self.kinds.drop_odd(indices)
        numbers = np.array([0 if row.odd else self.kinds.number(row) for row in rows], np.int64)
        self._put(indices, numbers[which])
        steps = np.array([_steps_by_one(row) for row in rows])
        self._note(indices, steps[which])

    def _set_odd(self, indices: I64Array, rows: list[PageKind]) -> None:
        """Assign pages rows of their own."""
        self.kinds.put_odd(indices, rows)
        self._put(indices, np.full(len(indices), ODD))
        self._note(indices, np.array([_steps_by_one(row) for row in rows]))

    def _note(self, indices: I64Array, irregular: npt.NDArray[np.bool_]) -> None:
        """Take down which sections have such pages, and in which the walk may step oddly."""
        slots = indices >> PFN_SECTION_SHIFT
        if not self.has_facts[slots].all():
            self.has_facts[slots] = 1
            self._made += 1
        self.irregular[slots[irregular]] = 1

    def _indices_of(self, pfn: int, pages: int) -> I64Array:
        self._present(pfn)
        self._present(pfn + pages - 1)
        return self.indices(np.arange(pfn, pfn + pages, dtype=np.uint64))

    def _present(self, pfn: int) -> int:
        index = self.index(pfn)
        if index < 0:
            raise ValueError(f"PFN {pfn} is in no section that is present")
        return index

    def _reach(self, number: int) -> None:
        if number >= len(self.slot_of):
            self.slot_of = _longer(self.slot_of, number + 1)

    def _grow(self, slots: int) -> None:
        first = self.slots
        used = np.where(self.has_facts, self._code_items(np.arange(first)), 0)
        self.section = _longer(self.section, first + slots)
        self.section[first:] = -1
        self.nid = _longer(self.nid, first + slots)
        self.irregular = _longer(self.irregular, first + slots)
        self.has_facts = _longer(self.has_facts, first + slots)
        self._width = _longer(self._width, first + slots)
        self._more_rows = _longer(self._more_rows, first + slots)
        self._palette = _longer(self._palette, (first + slots) << PALETTE_SHIFT)
        self._codes = grown(self._codes, self.slots, used)

    def _sections_changed(self) -> None:
        self._forget_pages()
        self._order.clear()
        self.version += 1

    def _forget_pages(self) -> None:
        """Let go of the pointers, but not of what was counted by them."""
        self._made = self.facts_made
        self._pages = None


def _steps_by_one(row: PageKind) -> bool:
    """Whether kmigrated would step by one page where it stands on such a page of a folio."""
    return bool(row.flags & COMPOUND and row.flags & _STEPS_BY_ONE)


def _aligned(pages: int) -> bool:
    """Whether folios of so many pages can all lie on multiples of that, within sections."""
    return pages & (pages - 1) == 0 and pages <= PAGES_PER_SECTION


def _longer(array: npt.NDArray[Any], length: int) -> npt.NDArray[Any]:
    """A copy with zeros after it: of an array by section or slot, which is small."""
    longer = np.zeros(length, array.dtype)
    longer[: len(array)] = array
    return longer
