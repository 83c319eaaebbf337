"""Many pages looked up at once: as a plain account of every page has them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.mem_map import MemMap
from pghot.engine.page_flags import COMPOUND, OFFLINE, UNREFERENCED
from pghot.engine.units import PAGES_PER_SECTION as SECTION

SECTIONS = {1: 3, 2: 3, 5: 1}
"""Sections that are present, and their nodes; the others are holes."""
ABSENT = (0, 3, 4, 6, 1 << 20)


@dataclass
class Folio:
    """What a plain account has of a folio."""

    head: int
    pages: int
    nid: int
    memcg: int = 0
    flags: int = 0


FOLIOS = st.lists(
    st.tuples(
        st.sampled_from(list(SECTIONS)),
        st.integers(0, 40),
        st.sampled_from([1, 2, 3, 4, 5, 16]),
        st.integers(0, 5),
        st.sampled_from([None, 0, 7]),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=150, deadline=None)
@given(made=FOLIOS, offline=st.sets(st.integers(0, 60), max_size=4))
def test_pages_are_known_as_a_plain_account_has_them(made, offline) -> None:
    mem_map, folio_of = both(made)
    gone = {SECTION + pfn for pfn in offline if folio_of.get(SECTION + pfn) is None}
    for pfn in gone:
        mem_map.set_flags(pfn, OFFLINE)
    asked = [number * SECTION + pfn for number in SECTIONS for pfn in range(64)]
    known = mem_map.known(np.array(asked, np.uint64))
    for i, pfn in enumerate(asked):
        folio = folio_of.get(pfn) or Folio(pfn, 1, SECTIONS[pfn // SECTION])
        assert (known.head[i], known.pages[i]) == (folio.head, folio.pages)
        assert (known.nid[i], known.memcg[i]) == (folio.nid, folio.memcg)
        assert known.flags[i] & (COMPOUND | UNREFERENCED) == folio.flags
        assert bool(known.flags[i] & OFFLINE) == (pfn in gone)


def both(made) -> tuple[MemMap, dict[int, Folio]]:
    """Folios where there is room for them, in a memory map and in a plain account."""
    mem_map, folio_of = MemMap(), {}
    for number, nid in SECTIONS.items():
        mem_map.add_sections(number * SECTION, SECTION, nid)
    for number, at, pages, memcg, moved_to, referenced in made:
        pfns = range(number * SECTION + at, number * SECTION + at + pages)
        if any(pfn in folio_of for pfn in pfns):
            continue
        folio = Folio(pfns.start, pages, SECTIONS[number], memcg)
        mem_map.set_folio(folio.head, pages, memcg)
        folio.flags = COMPOUND if pages > 1 else 0
        if not referenced:
            mem_map.set_flags(folio.head, UNREFERENCED)
            folio.flags |= UNREFERENCED
        if moved_to is not None:
            mem_map.move_folio(folio.head, moved_to)
            folio.nid = moved_to
        folio_of.update(dict.fromkeys(pfns, folio))
    return mem_map, folio_of


@given(st.lists(st.sampled_from([*SECTIONS, *ABSENT]), max_size=30), st.integers(0, SECTION - 1))
def test_a_page_has_an_index_and_a_node_where_its_section_is_present(numbers, within) -> None:
    mem_map, _ = both([])
    pfns = np.array([number * SECTION + within for number in numbers], np.uint64)
    slots = list(SECTIONS)
    assert mem_map.indices(pfns).tolist() == [
        slots.index(number) * SECTION + within if number in SECTIONS else -1 for number in numbers
    ]
    assert mem_map.nids_of(pfns).tolist() == [SECTIONS.get(number, -1) for number in numbers]


def test_a_map_without_sections_has_no_page() -> None:
    pfns = np.array([0, 7, 2**52], np.uint64)
    assert MemMap().indices(pfns).tolist() == [-1, -1, -1]
    assert MemMap().nids_of(pfns).tolist() == [-1, -1, -1]


def test_pages_are_looked_up_in_any_memory_order() -> None:
    mem_map, _ = both([])
    pfns = np.arange(SECTION, SECTION + 20, dtype=np.uint64)
    assert mem_map.indices(pfns[::2]).tolist() == list(range(0, 20, 2))
    assert mem_map.known(pfns[::-2]).head.tolist() == pfns[::-2].tolist()
