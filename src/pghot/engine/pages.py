"""What is known of each page, as loops take it: rows by kind, and the kind of each page.

Pages differ in few ways, so what is known of one is a row of small tables.  Those of a section
differ in fewer: a section has a palette of the rows that its pages have, and a page keeps a
code of two bits, the row's place there.  A section of more than 4 kinds takes 4 bits a page,
of more than 16 kinds 8, and of more than 256 kinds 16, which are the row's number themselves.
Folios that are not a power of two, not aligned or larger than a section are odd: each of their
pages has a row of its own, found by the page's index.
"""

from __future__ import annotations

from typing import Any

import cython
import numpy as np

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u16, u32, u64
    from cython.cimports.pghot.engine.page_flags import (
        CODES_SHIFT,
        MOVED,
        ODD,
        PALETTE_SHIFT,
        SHARED_ROWS,
        WHOLE,
    )
    from cython.cimports.pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u16, u32, u64
    from pghot.engine.page_flags import (
        CODES_SHIFT,
        MOVED,
        ODD,
        PALETTE_SHIFT,
        SHARED_ROWS,
        WHOLE,
    )
    from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT


@cython.cclass
class Pages:
    """Pointers to the arrays of a `MemMap`; they hold until sections or rows are added.

    By section number `slot_of` (slot + 1, 0: not present); by slot `section`, `nid`,
    `irregular`, `has_facts`, `width` (2^(width + 1) bits a page), `codes` (a byte each, or
    `whole` of two bytes), `palette` (rows by code) and `more_rows` (of the palette, beside the
    first); by row `row_flags`, `row_nid` (where MOVED is set), `row_pages` (pages of the folio at
    its first page; at the others minus its size, in an odd row minus the distance to the first),
    `row_memcg`; and the indices of odd pages, ascending.  `facts_made` goes up when a section
    gets its first page of another kind than 0, or its palette changes.
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
        self.width = u8(arrays.width)
        self.codes = u8(arrays.codes.view(np.uint8))
        self.whole = u16(arrays.codes)
        self.palette = u16(arrays.palette)
        self.more_rows = u16(arrays.more_rows)
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
    row: cython.long = _kind_at(pages, index)
    return row if row != ODD else _row_of_odd(pages, index)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _kind_at(pages: Pages, index: cython.long) -> cython.long:
    """Shared row of the page at an index, ODD where it has one of its own."""
    slot: cython.long = index >> PFN_SECTION_SHIFT
    if pages.width[slot] == WHOLE:
        return pages.whole[index]
    return pages.palette[(slot << PALETTE_SHIFT) | _code_at(pages.codes, index, pages.width[slot])]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _code_at(codes: cython.p_uchar, index: cython.long, width: cython.int) -> cython.long:
    """Code of the page at an index, of a section whose codes are that wide."""
    slot: cython.long = index >> PFN_SECTION_SHIFT
    bit: cython.long = (index & (PAGES_PER_SECTION - 1)) << (width + 1)
    code: cython.long = codes[(slot << CODES_SHIFT) | (bit >> 3)]
    return (code >> (bit & 7)) & ((1 << (2 << width)) - 1)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _put_code(
    pages: Pages, index: cython.long, width: cython.int, code: cython.long
) -> cython.void:
    """Write the code of the page at an index; `_code_at` reads it."""
    slot: cython.long = index >> PFN_SECTION_SHIFT
    bit: cython.long = (index & (PAGES_PER_SECTION - 1)) << (width + 1)
    at: cython.long = (slot << CODES_SHIFT) | (bit >> 3)
    mask: cython.long = ((1 << (2 << width)) - 1) << (bit & 7)
    pages.codes[at] = (pages.codes[at] & (0xFF ^ mask)) | (code << (bit & 7))


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _put_kind(pages: Pages, index: cython.long, row: cython.long) -> cython.void:
    """Write the shared row, or ODD, of the page at an index."""
    slot: cython.long = index >> PFN_SECTION_SHIFT
    code: cython.long = _code_of(pages, slot, row)
    if pages.width[slot] == WHOLE:
        pages.whole[index] = row
    else:
        _put_code(pages, index, pages.width[slot], code)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _code_of(pages: Pages, slot: cython.long, row: cython.long) -> cython.long:
    """Code of a row in a section, which gets one where it has none; -1 where codes are whole."""
    palette: cython.p_ushort = pages.palette
    first: cython.long = slot << PALETTE_SHIFT
    code: cython.long
    while pages.width[slot] != WHOLE:
        for code in range(pages.more_rows[slot] + 1):
            if palette[first | code] == row:
                return code
        code = pages.more_rows[slot] + 1
        if code < 1 << (2 << pages.width[slot]):
            palette[first | code] = row
            pages.more_rows[slot] = code
            pages.facts_made += 1
            return code
        _make_room(pages, slot)
    return -1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _make_room(pages: Pages, slot: cython.long) -> cython.void:
    """Drop rows that no page has any more from a palette that is full, else widen the codes.

    A quarter of them at least: what drops fewer would soon be done again.
    """
    palette: cython.p_ushort = pages.palette
    first: cython.long = slot << PALETTE_SHIFT
    start: cython.long = slot << PFN_SECTION_SHIFT
    width: cython.int = pages.width[slot]
    rows: cython.long = pages.more_rows[slot] + 1
    codes = cython.declare(cython.short[256])
    kept: cython.long = 1
    code: cython.long
    i: cython.long
    if not cython.compiled:
        codes = [0] * 256
    codes[0] = 0
    for code in range(1, rows):
        codes[code] = -1
    for i in range(start, start + PAGES_PER_SECTION):
        code = _code_at(pages.codes, i, width)
        if codes[code] < 0:
            codes[code] = 1
            kept += 1
    if 4 * kept > 3 * rows:
        _widen(pages, slot)
        return
    kept = 0
    for code in range(rows):
        if codes[code] >= 0:
            palette[first | kept] = palette[first | code]
            codes[code] = kept
            kept += 1
    for i in range(start, start + PAGES_PER_SECTION):
        _put_code(pages, i, width, codes[_code_at(pages.codes, i, width)])
    pages.more_rows[slot] = kept - 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _widen(pages: Pages, slot: cython.long) -> cython.void:
    """Give each page of a section twice the bits, in place: from the last page on."""
    first: cython.long = slot << PALETTE_SHIFT
    start: cython.long = slot << PFN_SECTION_SHIFT
    width: cython.int = pages.width[slot]
    code: cython.long
    i: cython.long
    for i in range(start + PAGES_PER_SECTION - 1, start - 1, -1):
        code = _code_at(pages.codes, i, width)
        if width + 1 == WHOLE:
            pages.whole[i] = pages.palette[first | code]
        else:
            _put_code(pages, i, width + 1, code)
    pages.width[slot] = width + 1


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
    _put_kind(pages, index, row)
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


def kinds_at(pages: Pages, indices: Any, out: Any) -> None:
    """Write the shared row of each page (u64) to `out` (u16), ODD where it has one of its own.

    0 where the index is that of no page.
    """
    index: cython.p_ulong = u64(indices)
    row: cython.p_ushort = u16(out)
    count: cython.long = len(indices)
    slots: cython.ulong = pages.slots
    i: cython.long
    with cython.nogil:
        for i in range(count):
            row[i] = _kind_at(pages, index[i]) if index[i] >> PFN_SECTION_SHIFT < slots else 0


def put_kinds(pages: Pages, indices: Any, rows: Any) -> None:
    """Write the shared row (i64), or ODD, of each page (u64); of no page, nothing."""
    index: cython.p_ulong = u64(indices)
    row: cython.p_long = i64(rows)
    count: cython.long = len(indices)
    slots: cython.ulong = pages.slots
    i: cython.long
    with cython.nogil:
        for i in range(count):
            if index[i] >> PFN_SECTION_SHIFT < slots:
                _put_kind(pages, index[i], row[i])


def tail_pages(pages: Pages, slot: cython.long) -> int:
    """Pages of a section that are not the first of their folio."""
    start: cython.long = slot << PFN_SECTION_SHIFT
    found: cython.long = 0
    i: cython.long
    with cython.nogil:
        for i in range(start, start + PAGES_PER_SECTION):
            found += pages.row_pages[row_at(pages, i)] < 0
    return found
