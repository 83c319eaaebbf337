"""Blocks of accesses against which little can be said: the recorder's fast half.

A block qualifies where its accesses agree on node and source and none of its pages has a
flag but MOVED.  All that is left of the nine rules is then where the pages are (rule 5)
and the update (rule 9), for all rows of the block at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pghot.engine.jit import compiled, prefetch
from pghot.engine.mem_map import MOVED, PFN_MASK
from pghot.engine.records import (
    base_of,
    limit_of,
    next_precise,
    row_of,
    stamp_of,
)
from pghot.engine.units import PFN_SECTION_SHIFT

FACTS, TOP, NO_MAP, ABSENT = (np.uint8(1 << bit) for bit in range(4))
"""What may be said of a section: some page of it has, or had, a flag; its node is top tier;
it has no hot map; it is not present."""

TOUCHED, READY = np.uint8(1), np.uint8(128)
"""Marks that a call leaves on a section: a record was updated; a record is ready."""

# Unsigned constants: Numba makes floats of unsigned and signed together, and tests signed
# indices for being counted from the end.
_SHIFT = np.uint64(PFN_SECTION_SHIFT)
_MASK = np.uint64(PFN_MASK)
_TOP_BYTE = np.uint64(24)
_KIND_BITS = 4
_KIND = np.uint64((1 << _KIND_BITS) - 1)
_TO_PLACE = np.uint64(PFN_SECTION_SHIFT - _KIND_BITS)


@compiled
def sections_of(pages: Any, has_map: Any, toptier: Any) -> Any:
    """Give, by section number, its slot and below that what rules 5 to 8 can say against it.

    One item (u32) more stands for every section beyond the last.
    """
    slot_of = pages.slot_of
    sections = np.full(len(slot_of) + 1, ABSENT, np.uint32)
    for slot in range(len(pages.section)):
        number = pages.section[slot]
        if number < 0:
            continue
        kind = (
            (FACTS if pages.has_facts[slot] else 0)
            | (TOP if toptier[pages.nid[slot]] else 0)
            | (0 if has_map[slot] else NO_MAP)
        )
        sections[number] = slot << _KIND_BITS | kind
    return sections


@compiled
def section_at(pfn: Any, sections: Any) -> Any:
    """Give the item of `sections` for a page."""
    return np.uint64(sections[min(pfn >> _SHIFT, np.uint64(len(sections) - 1))])


@compiled
def place_in(section: Any, pfn: Any) -> Any:
    """Give the place of a page in a section that is present; in another, a place of no use."""
    return ((section & ~_KIND) << _TO_PLACE) | (pfn & _MASK)


@compiled
def is_absent(pfn: Any, sections: Any) -> bool:
    """Tell whether the page's section is not present."""
    return section_at(pfn, sections) & ABSENT != 0


@compiled
def locate(
    pfns: Any,
    first: Any,
    end: Any,
    sections: Any,
    flags: Any,
    page_nid: Any,
    records: Any,
    places: Any,
    at: Any,
) -> Any:
    """Find the places of the rows [first, end) and ask for what is there.

    Gives, in its low bits, all that can be said of their sections.
    """
    said = np.uint64(0)
    for i in range(first, end):
        section = section_at(pfns[i], sections)
        place = place_in(section, pfns[i])
        places[at + i - first] = place
        said |= section
        prefetch(records, place)
    if said & FACTS:
        ask_for_facts(flags, page_nid, places, at, end - first)
    return said & _KIND


@compiled
def ask_for_facts(flags: Any, page_nid: Any, places: Any, at: Any, size: Any) -> None:
    """Ask for what is known of the pages at `size` places from `at` on."""
    for i in range(size):
        prefetch(flags, places[at + i])
        prefetch(page_nid, places[at + i])


@compiled
def settle(
    places: Any,
    at: Any,
    now: Any,
    pfns: Any,
    first: Any,
    size: Any,
    sections: Any,
    flags: Any,
    page_nid: Any,
    toptier: Any,
    kept: Any,
    when: Any,
) -> Any:
    """Keep the rows of `size` from `first` on whose page is below the top tier (rule 5).

    Their places and times go to `kept` and `when`.  Gives how many they are, how many pages
    would be on the top tier had none moved, and whether nothing else is to be said of them:
    no flag but MOVED, and of those below the top tier none has moved or lacks a hot map.

    Without a branch: whether a page has moved is a coin that nobody predicts.
    """
    staying = born_on_top = np.uint64(0)
    odd = np.uint8(0)
    for i in range(size):
        place = places[at + i]
        facts = flags[place]
        kind = section_at(pfns[first + i], sections)
        moved = np.uint8((facts & MOVED) != 0)
        there = np.uint8(toptier[np.uint64(page_nid[place])] != 0)
        born = np.uint8((kind & TOP) != 0)
        top = np.uint8((moved & there) | (born & (moved ^ np.uint8(1))))
        bare = np.uint8(moved | np.uint8((kind & NO_MAP) != 0))  # and below the top tier
        odd |= np.uint8(facts & ~MOVED) | np.uint8(bare & (top ^ np.uint8(1)))
        kept[staying] = place
        when[staying] = now[first + i]
        staying += np.uint64(top ^ np.uint8(1))
        born_on_top += np.uint64(born)
    return staying, born_on_top, odd == 0


@compiled
def update_rows(
    records: Any,
    places: Any,
    now: Any,
    size: Any,
    target: int,
    precise: bool,
    window: int,
    table: Any,
    marks: Any,
) -> None:
    """Update the records of the first `size` places, each at its time (rule 9).

    `marks` says by slot what became of its records.
    """
    limit = limit_of(window)
    for i in range(size):
        place, time = places[i], now[i]
        old = np.uint64(records[place])
        if precise:
            record = next_precise(old, stamp_of(time), base_of(time, target), limit, table)
            records[place] = record
            marks[place >> _SHIFT] |= np.uint8(record >> _TOP_BYTE) & READY | TOUCHED
        else:
            byte = table[row_of(time) | old]
            records[place] = byte
            marks[place >> _SHIFT] |= np.uint8(byte)  # no updated record is zero


@compiled
def update_and_locate(
    records: Any,
    places: Any,
    at: Any,
    at_next: Any,
    now: Any,
    pfns: Any,
    end: Any,
    size: Any,
    sections: Any,
    flags: Any,
    page_nid: Any,
    target: int,
    precise: bool,
    window: int,
    table: Any,
    marks: Any,
) -> Any:
    """Do `update_rows` for a block of one time `now`, and `locate` for the next one, as long.

    The processor has then the one to do while it waits for the memory of the other.
    """
    limit, row = limit_of(window), row_of(now)
    stamp, base = stamp_of(now), base_of(now, target)
    said = np.uint64(0)
    for i in range(size):
        section = section_at(pfns[end + i], sections)
        upcoming = place_in(section, pfns[end + i])
        places[at_next + i] = upcoming
        said |= section
        prefetch(records, upcoming)
        place = places[at + i]
        old = np.uint64(records[place])
        if precise:
            record = next_precise(old, stamp, base, limit, table)
            records[place] = record
            marks[place >> _SHIFT] |= np.uint8(record >> _TOP_BYTE) & READY | TOUCHED
        else:
            byte = table[row | old]
            records[place] = byte
            marks[place >> _SHIFT] |= np.uint8(byte)
    if said & FACTS:
        ask_for_facts(flags, page_nid, places, at_next, size)
    return said & _KIND


@compiled
def update_one(
    records: Any, place: Any, now: Any, target: int, precise: bool, window: int, table: Any
) -> bool:
    """Update one record for an access at `now`; tell whether it is ready."""
    old = np.uint64(records[place])
    if precise:
        limit = limit_of(window)
        record = next_precise(old, stamp_of(now), base_of(now, target), limit, table)
        records[place] = record
        return record >> np.uint64(31) != 0
    byte = table[row_of(now) | old]
    records[place] = byte
    return byte >= READY
