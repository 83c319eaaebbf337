"""Where pages are in the arrays of a `MemMap`, and what is known of them, many at a time."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i32, i64, u8, u32, u64
    from cython.cimports.pghot.engine.page_flags import NOT_ONLINE
    from cython.cimports.pghot.engine.pages import Pages, head_of, index_of, node_of, row_at
    from cython.cimports.pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i16, i32, i64, u8, u32, u64
    from pghot.engine.page_flags import NOT_ONLINE
    from pghot.engine.pages import Pages, head_of, index_of, node_of, row_at
    from pghot.engine.units import PAGES_PER_SECTION, PFN_SECTION_SHIFT


def indices_at(slot_of: Any, pfns: Any, out: Any) -> None:
    """Write the index (i64) of each PFN (u64), -1 where its section has no slot.

    `slot_of` (i32): slot + 1 by section number, 0 where there is none.
    """
    slots: cython.p_int = i32(slot_of)
    pfn: cython.p_ulong = u64(pfns)
    index: cython.p_long = i64(out)
    sections: cython.ulong = len(slot_of)
    count: cython.long = len(pfns)
    number: cython.ulong
    slot: cython.long
    i: cython.long
    with cython.nogil:
        for i in range(count):
            number = pfn[i] >> PFN_SECTION_SHIFT
            slot = slots[number] - 1 if number < sections else -1
            index[i] = (slot << PFN_SECTION_SHIFT) | (pfn[i] & (PAGES_PER_SECTION - 1))
            if slot < 0:
                index[i] = -1


def nids_at(slot_of: Any, nid: Any, pfns: Any, out: Any) -> None:
    """Write the node (i64) whose section each PFN (u64) is in, -1 (NUMA_NO_NODE) for none.

    `slot_of` as of `indices_at`; `nid` (i16): the node by slot.
    """
    slots: cython.p_int = i32(slot_of)
    nids: cython.p_short = i16(nid)
    pfn: cython.p_ulong = u64(pfns)
    found: cython.p_long = i64(out)
    sections: cython.ulong = len(slot_of)
    count: cython.long = len(pfns)
    number: cython.ulong
    i: cython.long
    with cython.nogil:
        for i in range(count):
            number = pfn[i] >> PFN_SECTION_SHIFT
            found[i] = -1
            if number < sections and slots[number] > 0:
                found[i] = nids[slots[number] - 1]


def known_at(pages: Pages, pfns: Any, known: Any) -> None:
    """Write what is known of each page (u64): to the arrays of a `mem_map.Known`.

    A page whose section is not present is its own folio, of node -1.
    """
    pfn: cython.p_ulong = u64(pfns)
    flags: cython.p_uchar = u8(known.flags)
    nid: cython.p_long = i64(known.nid)
    head: cython.p_ulong = u64(known.head)
    size: cython.p_long = i64(known.pages)
    memcg: cython.p_uint = u32(known.memcg)
    count: cython.long = len(pfns)
    index: cython.long
    first: cython.long
    row: cython.long
    of_head: cython.long
    i: cython.long
    with cython.nogil:
        for i in range(count):
            head[i] = pfn[i]
            index = index_of(pages, pfn[i])
            if index < 0:
                flags[i] = memcg[i] = 0
                nid[i] = -1
                size[i] = 1
                continue
            row = of_head = row_at(pages, index)
            if pages.row_pages[row] < 0:
                first = head_of(pages, index, row)
                of_head = row_at(pages, first)
                head[i] = (pages.section[first >> PFN_SECTION_SHIFT] << PFN_SECTION_SHIFT) | (
                    first & (PAGES_PER_SECTION - 1)
                )
                index = first
            flags[i] = (pages.row_flags[row] & NOT_ONLINE) | (
                pages.row_flags[of_head] & ~NOT_ONLINE
            )
            nid[i] = node_of(pages, index, of_head)
            size[i] = pages.row_pages[of_head]
            memcg[i] = pages.row_memcg[of_head]
