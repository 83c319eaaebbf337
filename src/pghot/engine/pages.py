"""What is known of each page, as loops take it: rows by kind, and the kind of each page.

Pages differ in few ways, so what is known of one is a row of small tables, and a page keeps
the row's number: one byte, or two where there are more than 254 kinds.  Folios that are not
a power of two, not aligned or larger than a section are odd: each of their pages has a row
of its own, found by the page's index.
"""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u16, u32, u64
    from cython.cimports.pghot.engine.page_flags import MOVED, ODD, SHARED_ROWS, WIDE_ODD
    from cython.cimports.pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u16, u32, u64
    from pghot.engine.page_flags import MOVED, ODD, SHARED_ROWS, WIDE_ODD
    from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT


@cython.cclass
class Pages:
    """Pointers to the arrays of a `MemMap`; they hold until sections or rows are added.

    By section number `slot_of` (slot + 1, 0: not present); by slot `section`, `nid`,
    `irregular`, `has_facts`; by index `narrow` or `wide` (the row); by row `row_flags`,
    `row_nid` (where MOVED is set), `row_pages` (pages of the folio at its first page; at the
    others minus its size, in an odd row minus the distance to the first), `row_memcg`; and
    the indices of odd pages, ascending.  `facts_made` counts sections that got their first
    page of another kind than 0.
    """

    def __init__(self, arrays: Any) -> None:
        """Take pointers from the arrays, which are kept: a `mem_map.Arrays`."""
        self.arrays = arrays
        self.slot_of = i32(arrays.slot_of)
        self.sections = len(arrays.slot_of)
        self.section = i64(arrays.section)
        self.slots = len(arrays.section)
        self.nid = i16(arrays.nid)
        self.irregular = u8(arrays.irregular)
        self.has_facts = u8(arrays.has_facts)
        if arrays.kind.dtype.itemsize == 1:
            self.narrow = u8(arrays.kind)
            self.wide = cython.NULL
        else:
            self.narrow = cython.NULL
            self.wide = u16(arrays.kind)
        self.row_flags = u8(arrays.row_flags)
        self.row_nid = i16(arrays.row_nid)
        self.row_pages = i32(arrays.row_pages)
        self.row_memcg = u32(arrays.row_memcg)
        self.odd_index = i64(arrays.odd_index)
        self.odds = len(arrays.odd_index)
        self.facts_made = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def index_of(pages: Pages, pfn: cython.ulong) -> cython.long:
    """Index of a PFN, -1 where its section is not present."""
    number: cython.ulong = pfn >> PFN_SECTION_SHIFT
    slot: cython.long
    if number >= pages.sections:
        return -1
    slot = pages.slot_of[number] - 1
    if slot < 0:
        return -1
    return (slot << PFN_SECTION_SHIFT) | (pfn & (PAGES_PER_SECTION - 1))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def row_at(pages: Pages, index: cython.long) -> cython.long:
    """Row of the page at an index."""
    row: cython.long
    if pages.narrow != cython.NULL:
        row = pages.narrow[index]
        return row if row != ODD else _row_of_odd(pages, index)
    row = pages.wide[index]
    return row if row != WIDE_ODD else _row_of_odd(pages, index)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _row_of_odd(pages: Pages, index: cython.long) -> cython.long:
    """Row of a page that has one of its own."""
    low: cython.long = 0
    high: cython.long = pages.odds
    middle: cython.long
    while low < high:
        middle = (low + high) >> 1
        if pages.odd_index[middle] < index:
            low = middle + 1
        else:
            high = middle
    return SHARED_ROWS + low


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def head_of(pages: Pages, index: cython.long, row: cython.long) -> cython.long:
    """Index of the first page of the folio that the page at `index`, of `row`, is in."""
    size: cython.long = pages.row_pages[row]
    if size > 0:
        return index
    if row < SHARED_ROWS:  # aligned, and a section's first index is a multiple of any size
        return index & ~(-size - 1)
    return index_of(pages, _pfn_at(pages, index) + size)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _pfn_at(pages: Pages, index: cython.long) -> cython.long:
    """PFN of the page at an index."""
    return (pages.section[index >> PFN_SECTION_SHIFT] << PFN_SECTION_SHIFT) | (
        index & (PAGES_PER_SECTION - 1)
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def node_of(pages: Pages, index: cython.long, row: cython.long) -> cython.long:
    """Node that the folio whose first page is at `index`, of `row`, is on now."""
    if pages.row_flags[row] & MOVED:
        return pages.row_nid[row]
    return pages.nid[index >> PFN_SECTION_SHIFT]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def put_row(pages: Pages, index: cython.long, row: cython.long) -> cython.void:
    """The page at an index a shared row."""
    slot: cython.long = index >> PFN_SECTION_SHIFT
    if pages.narrow != cython.NULL:
        pages.narrow[index] = row
    else:
        pages.wide[index] = row
    if row != 0 and not pages.has_facts[slot]:
        pages.has_facts[slot] = 1
        pages.facts_made += 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def move_folio(
    pages: Pages,
    away: cython.p_int,
    home: cython.p_int,
    free: cython.p_long,
    pfn: cython.ulong,
    nid: cython.int,
) -> cython.long:
    """Put the folio that starts at `pfn` on another node: its pages, 0 where it has no room.

    `away` and `home`: row of a page there by its row here, on a foreign node and on its
    section's own (`MemMap.rows_on`); `free`: free pages by node.
    """
    index: cython.long = index_of(pages, pfn)
    row: cython.long = row_at(pages, index)
    size: cython.long = pages.row_pages[row]
    slot: cython.long = index >> PFN_SECTION_SHIFT
    at_home: cython.bint = pages.nid[slot] == nid
    if size > free[nid]:
        return 0
    free[node_of(pages, index, row)] += size
    free[nid] -= size
    if row >= SHARED_ROWS:
        pages.row_nid[row] = nid
        if at_home:
            pages.row_flags[row] &= 0xFF ^ MOVED
        else:
            pages.row_flags[row] |= MOVED
        return size
    put_row(pages, index, home[row] if at_home else away[row])
    return size


def move_all(pages: Pages, rows: Any, free: Any, pfns: Any, nid: cython.int, moved: Any) -> None:
    """Put folios on node `nid` one after the other; `moved` (bool) says which found room.

    `rows`: `MemMap.rows_on(nid)`; `free` (i64): free pages by node; `pfns` (u64).
    """
    away: cython.p_int = i32(rows[0])
    home: cython.p_int = i32(rows[1])
    free_of: cython.p_long = i64(free)
    pfn: cython.p_ulong = u64(pfns)
    went: cython.p_uchar = u8(moved)
    count: cython.long = len(pfns)
    i: cython.long
    with cython.nogil:
        for i in range(count):
            went[i] = move_folio(pages, away, home, free_of, pfn[i], nid) > 0
