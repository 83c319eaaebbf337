"""The rules of recording, one access after the other (R2; patches 3 and 4)."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import u8
    from cython.cimports.pghot.engine.blocks import ABSENT, DISABLED, REFUSE, SOURCES, TAKE
    from cython.cimports.pghot.engine.fast_path import (
        AccessArrays,
        RecordRules,
        Scratch,
        update_one,
    )
    from cython.cimports.pghot.engine.hot_map_arrays import Maps
    from cython.cimports.pghot.engine.page_flags import (
        COMPOUND,
        NOT_ONLINE,
        OFF_LRU,
        OFFLINE,
        UNREFERENCED,
    )
    from cython.cimports.pghot.engine.pages import Pages, head_of, node_of, row_at
    from cython.cimports.pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        NUMA_NO_NODE,
        PFN_SECTION_SHIFT,
    )
else:
    from pghot.engine.arrays import u8
    from pghot.engine.blocks import ABSENT, DISABLED, REFUSE, SOURCES, TAKE
    from pghot.engine.fast_path import AccessArrays, RecordRules, Scratch, update_one
    from pghot.engine.hot_map_arrays import Maps
    from pghot.engine.page_flags import (
        COMPOUND,
        NOT_ONLINE,
        OFF_LRU,
        OFFLINE,
        UNREFERENCED,
    )
    from pghot.engine.pages import Pages, head_of, node_of, row_at
    from pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        NUMA_NO_NODE,
        PFN_SECTION_SHIFT,
    )


@cython.cclass
class NodeFlags:
    """Flags of nodes by id, as the recorder reads them; it sets `activate`."""

    def __init__(self, arrays: Any) -> None:
        """Take pointers from `toptier`, `online` and `activate` (u8), which are kept."""
        self.arrays = arrays
        self.toptier = u8(arrays.toptier)
        self.online = u8(arrays.online)
        self.activate = u8(arrays.activate)


@cython.cclass
class CallCounts:
    """Counts of a call.

    Accesses taken (R2.4), those of them that are hardware hints, recorded (R2.9),
    refused with EINVAL, whose page was on a top-tier node, whose page would be there had
    nothing been promoted.
    """

    def __init__(self) -> None:
        """All zero."""
        self.taken = self.hardware = self.recorded = self.refused = 0
        self.on_toptier = self.initially_on_toptier = 0


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def verdict(
    nid: cython.int, source: cython.int, rules: RecordRules, nodes: NodeFlags
) -> cython.int:
    """Judge what an access says of itself (R2.2, R2.3)."""
    if (
        rules.precise
        and nid != NUMA_NO_NODE
        and (nid < 0 or nid > NID_MAX or not nodes.online[nid] or not nodes.toptier[nid])
    ):
        return REFUSE
    if source < 0 or source >= SOURCES:
        return REFUSE
    return TAKE if (rules.enabled >> source) & 1 else DISABLED


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def one_by_one(
    rows: AccessArrays,
    first: cython.long,
    end: cython.long,
    pages: Pages,
    maps: Maps,
    nodes: NodeFlags,
    rules: RecordRules,
    scratch: Scratch,
    at: cython.long,
    tally: CallCounts,
) -> cython.void:
    """Take the rows [first, end) through the rules; their indices are at `at` and on."""
    index: cython.long
    row: cython.long
    head_row: cython.long
    slot: cython.long
    flags: cython.int
    node: cython.int
    nid: cython.int
    target: cython.int
    finding: cython.int
    present: cython.bint
    i: cython.long
    for i in range(first, end):
        nid = rows.nid[i]
        present = _is_present(rows.pfn[i], scratch)
        flags = OFFLINE  # what is in no section is not online
        node = NUMA_NO_NODE
        index = 0
        if present:
            index = scratch.indices[at + i - first]
            tally.initially_on_toptier += nodes.toptier[pages.nid[index >> PFN_SECTION_SHIFT]]
            row = head_row = row_at(pages, index)
            if pages.row_flags[row] & COMPOUND:
                # R2.7: the record, and what is known, of the folio's first PFN.
                index = head_of(pages, index, row)
                head_row = row_at(pages, index)
            flags = pages.row_flags[head_row] & ~NOT_ONLINE
            flags |= pages.row_flags[row] & NOT_ONLINE
            node = node_of(pages, index, head_row)
            tally.on_toptier += nodes.toptier[node]
        finding = verdict(nid, rows.source[i], rules, nodes)
        if finding != TAKE:  # R2.2, R2.3
            if finding == REFUSE:
                tally.refused += 1
            continue
        tally.taken += 1  # R2.4
        tally.hardware += rows.source[i]
        if not present or node == nid or nodes.toptier[node]:  # R2.5
            continue
        if flags & (NOT_ONLINE | UNREFERENCED | OFF_LRU):  # R2.6
            continue
        slot = index >> PFN_SECTION_SHIFT
        if not maps.has_map[slot]:  # R2.8
            continue
        tally.recorded += 1  # R2.9
        target = rules.target_nid if nid == NUMA_NO_NODE else nid
        maps.touched[slot] = 1
        if update_one(index, rows.now[i], target, rules, maps):
            maps.ready[index >> BLOCK_SHIFT] = 1
            maps.hot[slot] = 1
            nodes.activate[node] = 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _is_present(pfn: cython.ulong, scratch: Scratch) -> cython.bint:
    """Whether the page's section is present."""
    number: cython.ulong = pfn >> PFN_SECTION_SHIFT
    return not scratch.sections[min(scratch.last, number)] & ABSENT
