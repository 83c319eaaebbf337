"""One pass over a log counts every access of every page."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.baselines.touches import MOST, Touches
from pghot.engine.mem_map import MemMap
from pghot.engine.units import PAGES_PER_SECTION

PFNS = st.integers(0, 5 * PAGES_PER_SECTION - 1)


def counted(pfns, times, half_us, *, pieces=1, weights=None):
    touches = Touches(half_us)
    cuts = np.linspace(0, len(pfns), pieces + 1).astype(int)
    for start, end in itertools.pairwise(cuts):
        rows = slice(start, end)
        by = None if weights is None else np.array(weights, np.uint32)[rows]
        touches.add(np.array(times, np.uint64)[rows], np.array(pfns, np.uint64)[rows], by)
    return touches.touched()


@given(
    st.lists(PFNS, max_size=60),
    st.integers(0, 60),
    st.integers(1, 5),
)
def test_pages_come_in_the_order_of_first_touch_with_the_accesses_of_each_half(pfns, half, pieces):
    touched = counted(pfns, range(len(pfns)), half, pieces=pieces)
    assert touched.pfn.tolist() == list(dict.fromkeys(pfns))
    early, late = pfns[: half + 1], pfns[half + 1 :]
    assert touched.early.tolist() == [early.count(pfn) for pfn in touched.pfn.tolist()]
    assert touched.late is not None
    assert touched.late.tolist() == [late.count(pfn) for pfn in touched.pfn.tolist()]


def test_a_row_counts_for_as_many_accesses_as_it_stands_for():
    touched = counted([7, 9, 7], [0, 1, 2], 1, weights=[5, 0, 4])
    assert touched.pfn.tolist() == [7]
    assert touched.accesses.tolist() == [9]


ACCESSES = st.integers(0, 600) | st.integers(MOST - 600, MOST)


@given(
    st.lists(st.tuples(st.integers(0, 3), ACCESSES), max_size=40),
    st.integers(0, 40),
    st.integers(1, 5),
)
def test_accesses_add_up_in_each_half_whatever_rows_stand_for(rows, half, pieces):
    pfns, weights = [pfn for pfn, _ in rows], [weight for _, weight in rows]
    touched = counted(pfns, range(len(rows)), half, pieces=pieces, weights=weights)
    assert touched.pfn.tolist() == list(dict.fromkeys(pfn for pfn, weight in rows if weight))
    for found, of_half in ((touched.early, rows[: half + 1]), (touched.late, rows[half + 1 :])):
        assert found.tolist() == [
            min(MOST, sum(weight for pfn, weight in of_half if pfn == one))
            for one in touched.pfn.tolist()
        ]


@given(st.integers(1, 1200), st.integers(0, 1200))
def test_single_accesses_add_up_in_each_half(early, late):
    touched = counted([7] * (early + late), range(early + late), early - 1)
    assert (touched.early.tolist(), touched.late.tolist()) == ([early], [late])


def test_counts_stop_at_their_limit_instead_of_starting_anew():
    touched = counted([7, 7], [0, 1], None, weights=[MOST, MOST])
    assert touched.early.tolist() == [MOST]


def test_without_a_known_half_nothing_is_said_of_a_second_one():
    assert counted([7, 7], [0, 1], None).late is None


def test_nothing_comes_of_no_rows():
    assert len(counted([], [], 5)) == 0


@pytest.mark.parametrize("late", [False, True])
def test_pages_of_a_folio_count_together_and_it_comes_with_its_first(late):
    mem_map = MemMap()
    mem_map.add_sections(0, PAGES_PER_SECTION, 0)
    mem_map.set_folio(64, 4)
    touches = Touches(1 if late else None)
    touches.add(np.arange(5, dtype=np.uint64), np.array([66, 9, 64, 67, 9], np.uint64))
    touched = touches.touched(mem_map)
    assert touched.pfn.tolist() == [64, 9]
    assert touched.pages.tolist() == [4, 1]
    assert touched.accesses.tolist() == [3, 2]
    assert (touched.late.tolist() if touched.late is not None else None) == (
        [2, 1] if late else None
    )


def test_pages_of_far_sections_in_a_first_chunk_are_counted():
    far = 1 << 40
    touched = counted([0] * 24 + [far, 1], range(26), None)
    assert touched.pfn.tolist() == [0, far, 1]
