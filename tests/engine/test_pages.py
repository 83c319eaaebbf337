"""Kinds of pages by section: codes of few bits, and of more where a section has more kinds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.mem_map import MemMap
from pghot.engine.units import PAGES_PER_SECTION as SECTION

CODES = SECTION // 4
"""Bytes of a section's codes of two bits."""


def mem_map(sections: int = 1) -> MemMap:
    made = MemMap()
    made.add_sections(0, sections * SECTION, 1)
    return made


def put(of: MemMap, pfns: np.ndarray, memcgs: np.ndarray) -> None:
    one = np.ones(len(pfns), np.int64)
    of.learn(pfns.astype(np.uint64), one, memcgs.astype(np.uint32))


def memcgs_of(mem_map: MemMap) -> list[int]:
    return mem_map.known(np.arange(mem_map.slots * SECTION, dtype=np.uint64)).memcg.tolist()


@pytest.mark.parametrize(
    ("kinds", "bits"), [(1, 0), (2, 2), (4, 2), (5, 4), (16, 4), (17, 8), (256, 8), (257, 16)]
)
def test_a_page_takes_as_many_bits_as_the_kinds_of_its_section_need(kinds, bits) -> None:
    known, pages = mem_map(2), np.arange(SECTION)
    put(known, pages, pages % kinds)
    put(known, pages[:3] + SECTION, pages[:3])  # another section, with kinds of its own
    assert known.nbytes == bits * SECTION // 8 + CODES
    assert memcgs_of(known) == [*(pages % kinds).tolist(), 0, 1, 2, *[0] * (SECTION - 3)]


def test_kinds_that_no_page_has_any_more_take_no_room() -> None:
    known = mem_map()
    for memcg in range(1, 500):
        put(known, np.arange(2), np.array([memcg, 500 + memcg]))
    assert memcgs_of(known)[:3] == [499, 999, 0]
    assert known.nbytes == CODES


def test_memory_that_comes_again_has_ordinary_pages_in_few_bits() -> None:
    known = mem_map(2)
    put(known, np.arange(SECTION + 300), np.arange(SECTION + 300) % 300)
    known.remove_sections(0, SECTION)
    known.add_sections(0, SECTION, 2)
    assert not any(memcgs_of(known)[:SECTION])
    put(known, np.array([5]), np.array([7]))
    assert memcgs_of(known)[:8] == [0, 0, 0, 0, 0, 7, 0, 0]
    assert known.nbytes == 8 * CODES + CODES


def test_memory_that_is_added_leaves_pages_of_many_kinds_as_they_are() -> None:
    known, pages = mem_map(), np.arange(SECTION)
    put(known, pages, pages % 300)
    for section in range(1, 4):
        known.add_sections(section * SECTION, SECTION, 1)
    assert memcgs_of(known)[:SECTION] == (pages % 300).tolist()


WRITES = st.lists(
    st.tuples(st.integers(0, 2 * SECTION - 1), st.integers(1, 400), st.integers(1, 40)),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(writes=WRITES)
def test_every_page_is_of_the_kind_it_was_given_last(writes) -> None:
    known, plain = mem_map(2), np.zeros(2 * SECTION, np.int64)
    for first, pages, memcgs in writes:
        pfns = np.arange(first, min(first + pages, len(plain)))
        plain[pfns] = pfns % memcgs + first % 7
        put(known, pfns, plain[pfns])
    assert memcgs_of(known) == plain.tolist()


def test_folios_of_16_pages_take_a_quarter_of_a_byte_a_page() -> None:
    known = mem_map()
    heads = np.arange(0, SECTION, 16, dtype=np.uint64)
    sixteen = np.full(len(heads), 16)
    known.learn(heads, sixteen, np.full(len(heads), 9, np.uint32))
    assert known.nbytes == CODES
    assert known.known(heads + np.uint64(5)).head.tolist() == heads.tolist()
