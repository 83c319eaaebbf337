"""Recording accesses, in blocks (R2; patches 3 and 4).

The indices of the next block are found, and its cache lines asked for, before or while one
is recorded.  A block of which little is to be said goes as a whole (`fast_path`); the rows
of any other go through R2 one by one (`slow_path`).
"""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u32
    from cython.cimports.pghot.engine.blocks import (
        ABSENT,
        BLOCK,
        FACTS,
        NO_MAP,
        READY,
        SECTION_KIND_BITS,
        TAKE,
        TOP,
    )
    from cython.cimports.pghot.engine.fast_path import (
        AccessArrays,
        RecordRules,
        Scratch,
        ask_for_rows,
        keep_lower_tier_rows,
        locate,
        one_time,
        update_and_locate,
        update_kept,
    )
    from cython.cimports.pghot.engine.hot_map_arrays import Maps
    from cython.cimports.pghot.engine.pages import Pages, index_of
    from cython.cimports.pghot.engine.slow_path import CallCounts, NodeFlags, one_by_one, verdict
    from cython.cimports.pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        NUMA_NO_NODE,
        PFN_SECTION_SHIFT,
    )
else:
    from pghot.engine.arrays import u32
    from pghot.engine.blocks import (
        ABSENT,
        BLOCK,
        FACTS,
        NO_MAP,
        READY,
        SECTION_KIND_BITS,
        TAKE,
        TOP,
    )
    from pghot.engine.fast_path import (
        AccessArrays,
        RecordRules,
        Scratch,
        ask_for_rows,
        keep_lower_tier_rows,
        locate,
        one_time,
        update_and_locate,
        update_kept,
    )
    from pghot.engine.hot_map_arrays import Maps
    from pghot.engine.pages import Pages, index_of
    from pghot.engine.slow_path import CallCounts, NodeFlags, one_by_one, verdict
    from pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        NUMA_NO_NODE,
        PFN_SECTION_SHIFT,
    )


def record_rows(
    rows: AccessArrays,
    pages: Pages,
    maps: Maps,
    nodes: NodeFlags,
    rules: RecordRules,
    scratch: Scratch,
    tally: CallCounts,
) -> None:
    """Record accesses in order (R2); `tally` is added to."""
    with cython.nogil:
        _record(rows, pages, maps, nodes, rules, scratch, tally)
        _raise_flags(rows, pages, maps, nodes)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _record(
    rows: AccessArrays,
    pages: Pages,
    maps: Maps,
    nodes: NodeFlags,
    rules: RecordRules,
    scratch: Scratch,
    tally: CallCounts,
) -> cython.void:
    count: cython.long = rows.count
    first: cython.long = 0
    end: cython.long = min(BLOCK, count)
    after: cython.long
    size: cython.long
    here: cython.long
    at: cython.long = 0
    nid: cython.int
    target: cython.int
    alike: cython.bint
    said: cython.ulong = locate(rows, first, end, pages, maps, scratch, at)
    while first < count:
        size = end - first
        after = min(end + BLOCK, count)
        here = at
        at = BLOCK - at
        ask_for_rows(rows, end + 4 * BLOCK)
        nid = rows.nid[first]
        target = rules.target_nid if nid == NUMA_NO_NODE else nid
        alike = not said & ABSENT and _alike(rows, first, end, nodes, rules)
        if (
            alike
            and not said
            and after - end == size
            and one_time(rows, first, end, rules.precise)
        ):
            said = update_and_locate(
                rows, first, size, target, rules, pages, maps, scratch, here, at
            )
            _count(tally, size, rows.source[first], size, 0)
        else:
            said = locate(rows, end, after, pages, maps, scratch, at)
            if alike:
                keep_lower_tier_rows(rows, first, size, pages, scratch, here)
            if alike and scratch.plain:
                update_kept(scratch.staying, target, rules, maps, scratch)
                _count(tally, size, rows.source[first], scratch.staying, scratch.initially_on_top)
            else:
                one_by_one(rows, first, end, pages, maps, nodes, rules, scratch, here, tally)
        first = end
        end = after


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _alike(
    rows: AccessArrays, first: cython.long, end: cython.long, nodes: NodeFlags, rules: RecordRules
) -> cython.bint:
    """Whether the rows [first, end) agree on node and source, and R2.2, R2.3 and R2.5 let them.

    A node below the top tier may be the page's own: R2.5 has to look at each then.
    """
    nid: cython.short = rows.nid[first]
    source: cython.schar = rows.source[first]
    others: cython.int = 0
    i: cython.long
    if nid != NUMA_NO_NODE and not (0 <= nid <= NID_MAX and nodes.toptier[nid]):
        return False
    if verdict(nid, source, rules, nodes) != TAKE:
        return False
    for i in range(first, end):
        others |= (rows.nid[i] ^ nid) | (rows.source[i] ^ source)
    return others == 0


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _count(
    tally: CallCounts,
    size: cython.long,
    source: cython.long,
    recorded: cython.long,
    initially: cython.long,
) -> cython.void:
    """Count a block that went as a whole."""
    tally.taken += size
    tally.hardware += source * size
    tally.recorded += recorded
    tally.on_toptier += size - recorded
    tally.initially_on_toptier += initially


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _raise_flags(rows: AccessArrays, pages: Pages, maps: Maps, nodes: NodeFlags) -> cython.void:
    """Raise the flags of blocks, sections and nodes that the fast path has left marks on.

    By block, or by row where there are fewer rows.
    """
    index: cython.long
    i: cython.long
    if rows.count > maps.blocks:
        for i in range(maps.blocks):
            if maps.marks[i]:
                _raise_flag(i, pages, maps, nodes)
        return
    for i in range(rows.count):
        index = index_of(pages, rows.pfn[i])
        if index >= 0 and maps.marks[index >> BLOCK_SHIFT]:
            _raise_flag(index >> BLOCK_SHIFT, pages, maps, nodes)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _raise_flag(block: cython.long, pages: Pages, maps: Maps, nodes: NodeFlags) -> cython.void:
    """Raise the flags that a block's mark asks for, and take the mark away."""
    slot: cython.long = block >> (PFN_SECTION_SHIFT - BLOCK_SHIFT)
    maps.touched[slot] = 1
    if maps.marks[block] & READY:
        maps.ready[block] = 1
        maps.hot[slot] = 1
        nodes.activate[pages.nid[slot]] = 1
    maps.marks[block] = 0


def fill_sections(pages: Pages, maps: Maps, nodes: NodeFlags, out: Any) -> None:
    """Write `Scratch.sections`: `out` (u32) has an item a section number and one more."""
    sections: cython.p_uint = u32(out)
    count: cython.long = len(out)
    number: cython.long
    slot: cython.long
    kind: cython.uint
    with cython.nogil:
        for number in range(count):
            sections[number] = ABSENT
        for slot in range(pages.slots):
            if pages.section[slot] < 0:
                continue
            kind = 0 if maps.has_map[slot] else NO_MAP
            if pages.has_facts[slot]:
                kind |= FACTS
            if nodes.toptier[pages.nid[slot]]:
                kind |= TOP
            sections[pages.section[slot]] = (slot << SECTION_KIND_BITS) | kind
