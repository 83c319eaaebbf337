"""The walk of kmigrated: from hot sections to candidates (patches 3 and 5).

A pass costs what is ready: of a hot section only the blocks are read of which a record may
be ready.  In a regular section the walk's steps lead from folio to folio, so the ready
records at first pages are what it comes by; an irregular one is stepped through.
"""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, items, trailing_zeros, u8
    from cython.cimports.pghot.engine.blocks import EVERY_BYTE, EVERY_WORD
    from cython.cimports.pghot.engine.candidates import Candidate
    from cython.cimports.pghot.engine.hot_map_arrays import Maps
    from cython.cimports.pghot.engine.page_flags import (
        NOT_ONLINE,
        OFF_LRU,
        UNMOVABLE,
        UNREFERENCED,
    )
    from cython.cimports.pghot.engine.pages import Pages, head_of, node_of, row_at
    from cython.cimports.pghot.engine.units import (
        BLOCK_SHIFT,
        PAGES_PER_SECTION,
        PFN_SECTION_SHIFT,
    )
else:
    from pghot.engine.arrays import Structs, i64, trailing_zeros, u8
    from pghot.engine.blocks import EVERY_BYTE, EVERY_WORD
    from pghot.engine.hot_map_arrays import Maps
    from pghot.engine.page_flags import NOT_ONLINE, OFF_LRU, UNMOVABLE, UNREFERENCED
    from pghot.engine.pages import Pages, head_of, node_of, row_at
    from pghot.engine.units import BLOCK_SHIFT, PAGES_PER_SECTION, PFN_SECTION_SHIFT

    def next_line(words: Any, line: int, end: int, mask: int) -> int:
        """The first of the lines [line, end), of eight words each, that has a bit of `mask`."""
        while line < end and not any(word & mask for word in words[8 * line : 8 * line + 8]):
            line += 1
        return line


@cython.cclass
class Walk:
    """A pass over sections: what it takes to find candidates and to write them down."""

    slots: cython.p_long
    count: cython.long
    src_nid: cython.long
    now: cython.long
    target_nid: cython.long
    time_shift: cython.int
    time_max: cython.long
    bucket_shift: cython.int
    nid_mask: cython.long
    ready: cython.ulong
    indices: cython.p_long
    targets: cython.p_uchar
    out: cython.pointer[Candidate]
    room: cython.long
    found: cython.long
    kept: Any

    def __init__(
        self, slots: Any, src_nid: int, now: int, target_nid: int, layout: Any, targets: Any
    ) -> None:
        """Walk `slots` (i64, PFN order) of node `src_nid` at `now` jiffies.

        `target_nid` is where records without a node go; `layout` a `LayoutRow`; `targets` (u8)
        by node id gets 1 where a candidate is to go.
        """
        self.kept = [slots, targets]
        self.slots = i64(slots)
        self.targets = u8(targets)
        self.count = len(slots)
        self.src_nid = src_nid
        self.now = now
        self.target_nid = target_nid
        self.time_shift = layout.time_shift
        self.time_max = layout.time_max
        self.bucket_shift = layout.bucket_shift
        self.nid_mask = layout.nid_mask
        self.ready = layout.ready

    def take(self, pages: Pages, maps: Maps, first: int, indices: Any, out: Any) -> Any:
        """Walk from `slots[first]` on and consume the ready records of movable folios.

        Lowers each section's hot flag first, then steps through its PFNs by folio size, also
        where it stands on a tail page (defect 14).  Writes candidates to `out` as long as it
        has room for a whole section more and none of them may be of the next; what comes back
        is how many, and the index of the section after.  `indices` (i64) is scratch, one item
        a page of a section.
        """
        at: cython.long = first
        self.kept = [*self.kept[:2], indices, out]
        self.indices = i64(indices)
        self.room = len(out)
        self.found = 0
        if cython.compiled:
            self.out = cython.cast(cython.pointer(Candidate), items(out, cython.sizeof(Candidate)))
        else:
            self.out = Structs(out)
        with cython.nogil:
            at = _take(self, pages, maps, at)
        return self.found, at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _take(walk: Walk, pages: Pages, maps: Maps, at: cython.long) -> cython.long:
    slot: cython.long
    start: cython.long
    while at < walk.count and walk.found + PAGES_PER_SECTION <= walk.room:
        slot = walk.slots[at]
        start = slot << PFN_SECTION_SHIFT
        if walk.found and pages.irregular[slot] and pages.row_pages[row_at(pages, start)] < 0:
            break  # its first folio begins in a section before: that has to move first
        at += 1
        maps.hot[slot] = 0
        if pages.irregular[slot]:
            _step_through(walk, pages, maps, slot)
        else:
            _look_at_ready(walk, pages, maps, slot)
    return at


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _look_at_ready(walk: Walk, pages: Pages, maps: Maps, slot: cython.long) -> cython.void:
    """Take the candidates of a regular section: the ready records at first pages."""
    first: cython.long = slot << PFN_SECTION_SHIFT
    block: cython.long = first >> BLOCK_SHIFT
    end: cython.long = (first + PAGES_PER_SECTION) >> BLOCK_SHIFT
    plain: cython.bint = not pages.has_facts[slot]
    left: cython.long
    count: cython.long
    i: cython.long
    while block < end:
        if maps.ready[block]:
            count = _find_ready(
                maps, block << BLOCK_SHIFT, (block + 1) << BLOCK_SHIFT, walk.ready, walk.indices
            )
            left = 0
            for i in range(count):
                if not _take_page(walk, pages, maps, walk.indices[i], plain):
                    left += 1
            maps.ready[block] = left > 0
        block += 1


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _take_page(
    walk: Walk, pages: Pages, maps: Maps, index: cython.long, plain: cython.bint
) -> cython.bint:
    """Take the ready record of a folio's first page, if the folio is one to move."""
    row: cython.long = 0 if plain else row_at(pages, index)
    if not plain:
        if pages.row_pages[row] < 0:
            return False  # a record from before it was a tail page
        if pages.row_flags[row] & (NOT_ONLINE | UNREFERENCED | OFF_LRU):
            return False
        if node_of(pages, index, row) != walk.src_nid:
            return False
    _write_down(walk, pages, maps, index, index, row)
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _step_through(walk: Walk, pages: Pages, maps: Maps, slot: cython.long) -> cython.void:
    """Take the candidates of an irregular section, stepping as the series does.

    The step is 1 where a page is not online or its folio cannot be referenced, else the
    folio's size, from wherever in it the walk stands.
    """
    index: cython.long = slot << PFN_SECTION_SHIFT
    end: cython.long = index + PAGES_PER_SECTION
    head: cython.long
    row: cython.long
    size: cython.long
    while index < end:
        row = row_at(pages, index)
        size = 1
        if not pages.row_flags[row] & NOT_ONLINE:
            head = head_of(pages, index, row)
            row = row_at(pages, head)
            if not pages.row_flags[row] & UNREFERENCED:
                size = pages.row_pages[row]
                if (
                    not pages.row_flags[row] & OFF_LRU
                    and node_of(pages, head, row) == walk.src_nid
                    and _record(maps, index) & walk.ready
                ):
                    _write_down(walk, pages, maps, index, head, row)
        index += size


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _record(maps: Maps, index: cython.long) -> cython.ulong:
    if maps.precise:
        return maps.words[index]
    return maps.bytes[index]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _write_down(
    walk: Walk,
    pages: Pages,
    maps: Maps,
    index: cython.long,
    head: cython.long,
    row: cython.long,
) -> cython.void:
    """Consume the record at an index and write its folio, which begins at `head`, to `out`."""
    slot: cython.long = head >> PFN_SECTION_SHIFT
    record: cython.long = _record(maps, index)
    age: cython.long = (
        (walk.now >> walk.bucket_shift) - (record >> walk.time_shift)
    ) & walk.time_max
    at: cython.long = walk.found
    if maps.precise:
        maps.words[index] = 0
    else:
        maps.bytes[index] = 0
    walk.out[at].pfn = (pages.section[slot] << PFN_SECTION_SHIFT) | (
        head & (PAGES_PER_SECTION - 1)
    )
    walk.out[at].index = index
    walk.out[at].record = record
    walk.out[at].pages = pages.row_pages[row]
    walk.out[at].memcg = pages.row_memcg[row]
    walk.out[at].nid = record & walk.nid_mask if walk.nid_mask else walk.target_nid
    walk.targets[walk.out[at].nid] = 1
    walk.out[at].latency = age << walk.bucket_shift
    walk.out[at].walk = index >> PFN_SECTION_SHIFT
    walk.out[at].movable = 0 if pages.row_flags[row] & UNMOVABLE else 1
    walk.out[at].outcome = 0
    walk.found = at + 1


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _find_ready(
    maps: Maps, start: cython.long, end: cython.long, ready: cython.ulong, out: cython.p_long
) -> cython.long:
    """Write the indices in [start, end), whole lines, whose record is ready; how many."""
    words: cython.p_ulong = maps.lines
    mask: cython.ulong = ready * (EVERY_WORD if maps.precise else EVERY_BYTE)
    a_word: cython.int = 1 if maps.precise else 3  # log2 of the records in one
    found: cython.long = 0
    last: cython.long = end >> (a_word + 3)
    line: cython.long = next_line(words, start >> (a_word + 3), last, mask)
    at: cython.long
    left: cython.ulong
    while line < last:
        for at in range(8 * line, 8 * line + 8):
            left = words[at] & mask
            while left:  # as many rounds as there are ready records
                out[found] = (at << a_word) + (trailing_zeros(left) >> (6 - a_word))
                found += 1
                left &= left - 1
        line = next_line(words, line + 1, last, mask)
    return found


def find_ready(
    maps: Maps, start: cython.long, end: cython.long, ready: cython.ulong, out: Any
) -> int:
    """Write the indices in [start, end) whose record is ready to `out` (i64); how many.

    `start` and `end` are multiples of 64; `out` has room for end - start.
    """
    indices: cython.p_long = i64(out)
    with cython.nogil:
        found: cython.long = _find_ready(maps, start, end, ready, indices)
    return found


def expire(
    maps: Maps,
    start: cython.long,
    end: cython.long,
    time: cython.long,
    layout: Any,
    oldest: cython.long,
) -> int:
    """Zero the records of [start, end) older than `oldest` time units; how many are left.

    `time` is the time field of now; `layout` a `LayoutRow`.
    """
    shift: cython.int = layout.time_shift
    time_max: cython.long = layout.time_max
    left: cython.long = 0
    record: cython.long
    index: cython.long
    with cython.nogil:
        for index in range(start, end):
            record = _record(maps, index)
            if record == 0:
                continue
            if ((time - (record >> shift)) & time_max) <= oldest:
                left += 1
            elif maps.precise:
                maps.words[index] = 0
            else:
                maps.bytes[index] = 0
    return left
