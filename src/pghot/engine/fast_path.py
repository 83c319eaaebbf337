"""The recorder's fast path: blocks of accesses against which little can be said.

A block qualifies where its accesses agree on node and source and none of its pages has a
flag but MOVED.  All that is left of the rules is then where the pages are (R2.5) and
the update (R2.9), for all rows of the block at once.

An engine owns its records by one thread at a time, so plain loads and stores stand where
the series compares and swaps (R1.12).
"""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i8, i16, prefetch, u8, u32, u64
    from cython.cimports.pghot.engine.blocks import (
        AHEAD,
        BLOCK,
        FACTS,
        FATE_INITIALLY,
        FATE_ON_TOP,
        FATE_OTHER,
        KEPT,
        PAGE_MOVED,
        PAGE_NOT_PLAIN,
        READY,
        SECTION_KIND,
        SLOT_BITS,
        TOP,
        TOUCHED,
        U32,
    )
    from cython.cimports.pghot.engine.hot_map_arrays import Maps
    from cython.cimports.pghot.engine.page_flags import CODES_SHIFT, PALETTE_SHIFT, WHOLE
    from cython.cimports.pghot.engine.pages import Pages
    from cython.cimports.pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        PAGES_PER_SECTION,
        PFN_SECTION_SHIFT,
    )
else:
    from pghot.engine.arrays import i8, i16, prefetch, u8, u32, u64
    from pghot.engine.blocks import (
        AHEAD,
        BLOCK,
        FACTS,
        FATE_INITIALLY,
        FATE_ON_TOP,
        FATE_OTHER,
        KEPT,
        PAGE_MOVED,
        PAGE_NOT_PLAIN,
        READY,
        SECTION_KIND,
        SLOT_BITS,
        TOP,
        TOUCHED,
        U32,
    )
    from pghot.engine.hot_map_arrays import Maps
    from pghot.engine.page_flags import CODES_SHIFT, PALETTE_SHIFT, WHOLE
    from pghot.engine.pages import Pages
    from pghot.engine.units import (
        BLOCK_SHIFT,
        NID_MAX,
        PAGES_PER_SECTION,
        PFN_SECTION_SHIFT,
    )

# The numbers of the two layouts below are those of layout.py: tests/engine/test_layout.py
# holds every record against `Layout.update`.


@cython.cclass
class AccessArrays:
    """Accesses in time order: pointers into four arrays (`recorder.Accesses`)."""

    def __init__(self, arrays: Any) -> None:
        """Take pointers from the arrays, which are kept."""
        self.arrays = arrays
        self.count = len(arrays.pfn)
        self.pfn = u64(arrays.pfn)
        self.nid = i16(arrays.nid)
        self.source = i8(arrays.source)
        self.now = u64(arrays.now)


@cython.cclass
class RecordRules:
    """The tunables and tables by which records are updated.

    Sources taken, the node of accesses that name none, the window in jiffies,
    `Layout.table`, and whether a precision record keeps the bits of `blocks.KEPT`.
    """

    def __init__(
        self,
        table: Any,
        enabled: cython.int,
        target_nid: cython.int,
        window: cython.ulong,
        keeps: cython.bint = True,
    ) -> None:
        """Take a pointer from the table, which is kept."""
        self.table = table
        self.kept = KEPT if keeps else 0
        self.enabled = enabled
        self.target_nid = target_nid
        self.precise = table.dtype.itemsize > 1
        self.window = window
        # As `next_precise` compares it; one over 14 bits never ends.
        self.limit = (window << 18) | ((1 << 18) - 1)
        if self.precise:
            self.words = u32(table)
            self.bytes = cython.NULL
        else:
            self.bytes = u8(table)
            self.words = cython.NULL


@cython.cclass
class Scratch:
    """Scratch arrays of the recorder, kept from block to block.

    `sections` (u32): by section number its slot, and below that what R2.5 to R2.8 can say
    against it; an item more stands for all beyond.  `facts`: one of them has FACTS.  `verdicts`
    (u8): what can be said of a page, by row, and `fates` (u8): by slot and code (`fill_fates`).
    `width`: that of the codes of all sections with facts, WHOLE where they differ.
    Indices of this block and the next; indices and times of the rows that stay below the top
    tier, of which there are `staying`; `initially_on_top`: rows whose page would be on the top
    tier had none moved; `plain`: nothing else is to be said.
    """

    def __init__(self, arrays: Any, facts: cython.bint) -> None:
        """Take pointers from a `recorder.Tables`, which is kept."""
        self.arrays = arrays
        self.facts = facts
        self.sections = u32(arrays.sections)
        self.last = len(arrays.sections) - 1
        self.verdicts = u8(arrays.verdicts)
        self.indices = u64(arrays.indices)
        self.fates = u8(arrays.fates)
        self.kept = u64(arrays.kept)
        self.when = u64(arrays.when)
        self.staying = self.initially_on_top = 0
        self.plain = False
        self.width = WHOLE


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def row_of(now: cython.ulong) -> cython.ulong:
    """Where the default layout's table has the row for `now` jiffies."""
    return ((now >> 7) & 31) << 8


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def stamp_of(now: cython.ulong) -> cython.ulong:
    """Time field of `now` at the top of 32 bits, all bits below it set."""
    return ((now & 0x3FFF) << 18) | 0x3FFFF


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def base_of(now: cython.ulong, nid: cython.int) -> cython.ulong:
    """Bits of a precision record that follow from the access alone."""
    return ((now & 0x3FFF) << 13) | (nid & NID_MAX)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def next_precise(
    old: cython.ulong,
    stamp: cython.ulong,
    base: cython.ulong,
    limit: cython.ulong,
    table: cython.p_uint,
    kept: cython.ulong,
) -> cython.ulong:
    """The precision record after an access, without a branch that could be mispredicted.

    `kept` are the bits that stay as they were (R1.9, R12.1).  With its time at the top of a
    word, an age and what stands below it compare as the age alone; that it is too old shows
    as a borrow.
    """
    age: cython.ulong = (stamp - (old << 5)) & U32
    late: cython.ulong = ((limit - age) >> 60) & 8
    return table[((old >> 10) & 7) | late] | base | (old & kept)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def index_in(section: cython.ulong, pfn: cython.ulong) -> cython.ulong:
    """Index of a page in a section that is present; in another, an index of no use."""
    return ((section & SLOT_BITS) << 11) | (pfn & 0x7FFF)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def one_time(
    rows: AccessArrays, first: cython.long, end: cython.long, precise: cython.bint
) -> cython.bint:
    """Whether the records of the rows [first, end) all get the same time."""
    if precise:
        return rows.now[first] == rows.now[end - 1]
    return rows.now[first] >> 7 == rows.now[end - 1] >> 7


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def ask_for_rows(rows: AccessArrays, first: cython.long) -> cython.void:
    """Ask for a block of rows from `first` on, line by line; some or all may not be there.

    A block takes up to a third less time so (bench/recorder.py).
    """
    i: cython.long
    for i in range(0, BLOCK, 8):
        prefetch(rows.pfn, first + i, 8)
    for i in range(0, BLOCK, 32):
        prefetch(rows.nid, first + i, 2)
    for i in range(0, BLOCK, 64):
        prefetch(rows.source, first + i, 1)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _code_byte(index: cython.ulong, width: cython.uint) -> cython.ulong:
    """Where the code of a page stands in `Pages.codes`, of a section whose codes are that wide."""
    return ((index >> PFN_SECTION_SHIFT) << CODES_SHIFT) | (
        (index & (PAGES_PER_SECTION - 1)) << (width + 1) >> 3
    )


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _ask_for_codes(
    pages: Pages, indices: cython.p_ulong, first: cython.long, count: cython.long
) -> cython.void:
    """Ask for the codes of pages, of a block that follows one without facts."""
    index: cython.ulong
    i: cython.long
    for i in range(first, first + count):
        index = indices[i]
        prefetch(pages.codes, _code_byte(index, pages.width[index >> PFN_SECTION_SHIFT]), 1)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def locate(
    rows: AccessArrays,
    first: cython.long,
    end: cython.long,
    pages: Pages,
    maps: Maps,
    scratch: Scratch,
    at: cython.long,
) -> cython.ulong:
    """Find the indices of the rows [first, end) and ask for what is there.

    The low bits of what comes back are all that can be said of their sections.
    """
    pfn: cython.p_ulong = rows.pfn
    indices: cython.p_ulong = scratch.indices
    sections: cython.p_uint = scratch.sections
    last: cython.ulong = scratch.last
    width: cython.ulong = 4 if maps.precise else 1
    facts: cython.bint = scratch.facts
    said: cython.ulong = 0
    section: cython.ulong
    index: cython.ulong
    i: cython.long
    for i in range(first, end):
        section = sections[min(pfn[i] >> PFN_SECTION_SHIFT, last)]
        index = index_in(section, pfn[i])
        indices[at + i - first] = index
        said |= section
        if width == 1:
            prefetch(maps.bytes, index, 1)
        else:
            prefetch(maps.words, index, 4)
        if facts:
            prefetch(pages.codes, _code_byte(index, pages.width[index >> PFN_SECTION_SHIFT]), 1)
    return said & SECTION_KIND


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _fate(page: cython.uint, section: cython.uint) -> cython.uint:
    """What R2.5 to R2.8 say of a page, of what is said of its row and of its section."""
    moved: cython.uint = page & PAGE_MOVED
    top: cython.uint = ((page >> 1) & moved) | ((section >> 1) & (moved ^ 1))
    # A page below the top tier that has moved, or whose section has no hot map.
    other: cython.uint = (page & PAGE_NOT_PLAIN) >> 2 | (
        (moved | ((section >> 2) & 1)) & (top ^ 1)
    )
    return top | (section & TOP) | other << 2


def fill_fates(pages: Pages, scratch: Scratch, fates: Any) -> None:
    """Write what is to be said of pages (u8), by slot and code as in `Pages.palette`."""
    fate: cython.p_uchar = u8(fates)
    first: cython.long
    section: cython.uint
    slot: cython.long
    code: cython.long
    width: cython.int = -1  # of the last section with facts
    alike: cython.bint = True
    with cython.nogil:
        for slot in range(pages.slots):
            if pages.has_facts[slot]:
                alike = alike and (width < 0 or width == pages.width[slot])
                width = pages.width[slot]
            if pages.section[slot] < 0 or pages.width[slot] == WHOLE:
                continue
            first = slot << PALETTE_SHIFT
            section = scratch.sections[pages.section[slot]]
            for code in range(pages.more_rows[slot] + 1):
                fate[first | code] = _fate(scratch.verdicts[pages.palette[first | code]], section)
        scratch.width = width if alike and width >= 0 else WHOLE


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def keep_lower_tier_rows(
    rows: AccessArrays,
    first: cython.long,
    size: cython.long,
    pages: Pages,
    scratch: Scratch,
    at: cython.long,
) -> cython.void:
    """Keep the rows of `size` from `first` on whose page is below the top tier (R2.5).

    Their sections are present.
    """
    if scratch.width == WHOLE:
        _keep(rows, first, size, pages, scratch, at, False)
    else:
        _keep(rows, first, size, pages, scratch, at, True)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _keep(
    rows: AccessArrays,
    first: cython.long,
    size: cython.long,
    pages: Pages,
    scratch: Scratch,
    at: cython.long,
    one_width: cython.bint,
) -> cython.void:
    """`keep_lower_tier_rows`, where all codes have `scratch.width` and where they may not.

    Without a branch but by section: which pages have moved follows no pattern that could be
    predicted.
    """
    now: cython.p_ulong = rows.now
    widths: cython.p_uchar = pages.width
    codes: cython.p_uchar = pages.codes
    fates: cython.p_uchar = scratch.fates
    indices: cython.p_ulong = scratch.indices
    kept: cython.p_ulong = scratch.kept
    when: cython.p_ulong = scratch.when
    staying: cython.long = 0
    initially: cython.ulong = 0
    said: cython.uint = 0
    fate: cython.uint
    index: cython.ulong
    slot: cython.ulong
    code: cython.uint
    width: cython.uint = scratch.width
    i: cython.long
    for i in range(size):
        index = indices[at + i]
        slot = index >> PFN_SECTION_SHIFT
        if not one_width:
            width = widths[slot]
        if not one_width and width == WHOLE:
            fate = _fate(
                scratch.verdicts[pages.whole[index]], scratch.sections[pages.section[slot]]
            )
        else:  # as pages.py has them
            code = codes[_code_byte(index, width)] >> ((index << (width + 1)) & 7)
            code &= (1 << (2 << width)) - 1
            fate = fates[(slot << PALETTE_SHIFT) | code]
        said |= fate
        kept[staying] = index
        when[staying] = now[first + i]
        staying += (fate & FATE_ON_TOP) ^ 1
        initially += (fate & FATE_INITIALLY) >> 1
    scratch.staying = staying
    scratch.initially_on_top = initially
    scratch.plain = not said & FATE_OTHER


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def update_kept(
    size: cython.long, target: cython.int, rules: RecordRules, maps: Maps, scratch: Scratch
) -> cython.void:
    """Update the records of the rows that are kept, each at its time (R2.9)."""
    kept: cython.p_ulong = scratch.kept
    when: cython.p_ulong = scratch.when
    marks: cython.p_uchar = maps.marks
    records: cython.p_uchar = maps.bytes
    table: cython.p_uchar = rules.bytes
    record: cython.uchar
    i: cython.long
    if maps.precise:
        for i in range(size):
            _update(kept[i], when[i], target, rules, maps)
        return
    for i in range(size):
        record = table[row_of(when[i]) | records[kept[i]]]
        records[kept[i]] = record
        marks[kept[i] >> BLOCK_SHIFT] |= record  # no updated record is zero


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _update(
    index: cython.ulong,
    now: cython.ulong,
    target: cython.int,
    rules: RecordRules,
    maps: Maps,
) -> cython.void:
    """Update one precision record and mark its block."""
    record: cython.uint = _next(index, now, target, rules, maps)
    maps.words[index] = record
    maps.marks[index >> BLOCK_SHIFT] |= ((record >> 24) & READY) | TOUCHED


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _next(
    index: cython.ulong,
    now: cython.ulong,
    target: cython.int,
    rules: RecordRules,
    maps: Maps,
) -> cython.uint:
    """What the record at an index is after an access."""
    if maps.precise:
        return next_precise(
            maps.words[index],
            stamp_of(now),
            base_of(now, target),
            rules.limit,
            rules.words,
            rules.kept,
        )
    return rules.bytes[row_of(now) | maps.bytes[index]]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def update_one(
    index: cython.ulong,
    now: cython.ulong,
    target: cython.int,
    rules: RecordRules,
    maps: Maps,
) -> cython.bint:
    """Update one record for an access at `now`; whether it is ready.  No mark is left."""
    record: cython.uint = _next(index, now, target, rules, maps)
    _put(maps, index, record)
    return (record >> 31) != 0 if maps.precise else record >= READY


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def update_and_locate(
    rows: AccessArrays,
    first: cython.long,
    size: cython.long,
    target: cython.int,
    rules: RecordRules,
    pages: Pages,
    maps: Maps,
    scratch: Scratch,
    at: cython.long,
    at_next: cython.long,
) -> cython.ulong:
    """Update a block of one time, all its pages plain, and `locate` the next one, as long.

    The processor has then the one to do while it waits for the memory of the other.
    """
    said: cython.ulong
    if maps.precise:
        said = _update_words(rows, first, size, target, rules, maps, scratch, at, at_next)
    else:
        said = _update_bytes(rows, first, size, rules, maps, scratch, at, at_next)
    if said & FACTS:
        _ask_for_codes(pages, scratch.indices, at_next, size)
    return said & SECTION_KIND


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _update_bytes(
    rows: AccessArrays,
    first: cython.long,
    size: cython.long,
    rules: RecordRules,
    maps: Maps,
    scratch: Scratch,
    at: cython.long,
    at_next: cython.long,
) -> cython.ulong:
    """`update_and_locate` of default records."""
    records: cython.p_uchar = maps.bytes
    marks: cython.p_uchar = maps.marks
    table: cython.p_uchar = rules.bytes
    pfn: cython.p_ulong = rows.pfn
    indices: cython.p_ulong = scratch.indices
    sections: cython.p_uint = scratch.sections
    last: cython.ulong = scratch.last
    row: cython.ulong = row_of(rows.now[first])
    number: cython.ulong
    section: cython.ulong
    index: cython.ulong
    record: cython.uchar
    said: cython.ulong = 0
    i: cython.long
    for i in range(size):
        number = pfn[first + size + i] >> PFN_SECTION_SHIFT
        section = sections[min(last, number)]
        index = index_in(section, pfn[first + size + i])
        indices[at_next + i] = index
        said |= section
        prefetch(records, index, 1)
        index = indices[at + i]
        record = table[row | records[index]]
        records[index] = record
        marks[index >> BLOCK_SHIFT] |= record
    return said


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _update_words(
    rows: AccessArrays,
    first: cython.long,
    size: cython.long,
    target: cython.int,
    rules: RecordRules,
    maps: Maps,
    scratch: Scratch,
    at: cython.long,
    at_next: cython.long,
) -> cython.ulong:
    """`update_and_locate` of precision records."""
    records: cython.p_uint = maps.words
    marks: cython.p_uchar = maps.marks
    table: cython.p_uint = rules.words
    pfn: cython.p_ulong = rows.pfn
    indices: cython.p_ulong = scratch.indices
    sections: cython.p_uint = scratch.sections
    last: cython.ulong = scratch.last
    limit: cython.ulong = rules.limit
    kept: cython.ulong = rules.kept
    stamp: cython.ulong = stamp_of(rows.now[first])
    base: cython.ulong = base_of(rows.now[first], target)
    number: cython.ulong
    section: cython.ulong
    index: cython.ulong
    record: cython.ulong
    said: cython.ulong = 0
    i: cython.long
    for i in range(size):
        number = pfn[first + size + i] >> PFN_SECTION_SHIFT
        section = sections[min(last, number)]
        index = index_in(section, pfn[first + size + i])
        indices[at_next + i] = index
        said |= section
        prefetch(records, index, 4)
        index = indices[at + i]
        record = next_precise(records[index], stamp, base, limit, table, kept)
        records[index] = record
        marks[index >> BLOCK_SHIFT] |= ((record >> 24) & READY) | TOUCHED
    return said


def update(maps: Maps, rules: RecordRules, rows: AccessArrays) -> None:
    """Update the records at indices `rows.pfn`, one access each for node `rows.nid`, in order.

    R1 alone: R2 is not asked, and no mark is left.  Times ascend.
    """
    with cython.nogil:
        if maps.precise:
            _update_words_at(rows, rules, maps)
        else:
            _update_bytes_at(rows, rules, maps)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _update_bytes_at(rows: AccessArrays, rules: RecordRules, maps: Maps) -> cython.void:
    """`update` of default records."""
    records: cython.p_uchar = maps.bytes
    table: cython.p_uchar = rules.bytes
    indices: cython.p_ulong = rows.pfn
    now: cython.p_ulong = rows.now
    count: cython.long = rows.count
    first: cython.long = 0
    end: cython.long
    row: cython.ulong
    index: cython.ulong
    i: cython.long
    while first < count:
        end = min(first + BLOCK, count)
        row = row_of(now[first])
        if end + AHEAD <= count and one_time(rows, first, end, False):
            for i in range(first, end):
                prefetch(records, indices[i + AHEAD], 1)
                index = indices[i]
                records[index] = table[row | records[index]]
        else:
            for i in range(first, end):
                index = indices[i]
                records[index] = table[row_of(now[i]) | records[index]]
        first = end


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _update_words_at(rows: AccessArrays, rules: RecordRules, maps: Maps) -> cython.void:
    """`update` of precision records."""
    records: cython.p_uint = maps.words
    table: cython.p_uint = rules.words
    indices: cython.p_ulong = rows.pfn
    nids: cython.p_short = rows.nid
    now: cython.p_ulong = rows.now
    limit: cython.ulong = rules.limit
    last: cython.long = rows.count - 1
    index: cython.ulong
    i: cython.long
    for i in range(rows.count):
        prefetch(records, indices[min(i + AHEAD, last)], 4)
        index = indices[i]
        records[index] = next_precise(
            records[index], stamp_of(now[i]), base_of(now[i], nids[i]), limit, table, rules.kept
        )


def trace(maps: Maps, rules: RecordRules, rows: AccessArrays, before: Any, after: Any) -> None:
    """Write to `after` (u32) what the record at each index will be after its access.

    As `update`, but the records are put back as they were; the caller records them next.
    """
    was: cython.p_uint = u32(before)
    becomes: cython.p_uint = u32(after)
    i: cython.long
    with cython.nogil:
        for i in range(rows.count):
            was[i] = maps.words[rows.pfn[i]] if maps.precise else maps.bytes[rows.pfn[i]]
        for i in range(rows.count):
            becomes[i] = _next(rows.pfn[i], rows.now[i], rows.nid[i], rules, maps)
            _put(maps, rows.pfn[i], becomes[i])
        for i in range(rows.count):
            _put(maps, rows.pfn[i], was[i])


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _put(maps: Maps, index: cython.ulong, record: cython.uint) -> cython.void:
    if maps.precise:
        maps.words[index] = record
    else:
        maps.bytes[index] = record
