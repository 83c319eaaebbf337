"""Each point of a curve is what the baselines give for that room, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.baselines.folios import FirstTouches, Headroom
from pghot.baselines.shares import baselines
from pghot.exploring.counts import PageCounts
from pghot.exploring.placed import held_out_shares
from pghot.exploring.tally import STEADY, WHOLE, placed_lines

SIZES = st.sampled_from([1, 1, 1, 2, 4, 16])
FOLIOS = st.lists(
    st.tuples(SIZES, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12
).filter(lambda folios: any(early + late for _size, early, late in folios))


def touched_of(folios):
    pages, early, late = (np.array(column, np.int64) for column in zip(*folios, strict=True))
    return FirstTouches(np.arange(len(pages), dtype=np.uint64) * 64, pages, early, late)


@settings(deadline=None)
@given(FOLIOS, st.integers(0, 40))
def test_every_size_gives_the_baselines_of_that_room(folios, slow):
    touched = touched_of(folios)
    sizes = np.arange(touched.footprint + 3)
    counted = PageCounts().sampled()._replace(touched=touched, odd=touched.early)
    lines = {
        (line.name, line.part): line.share
        for line in placed_lines(counted, sizes, slow, None, halves=True)
    }
    nowhere = np.zeros(len(touched), np.bool_)
    for size in sizes.tolist():
        known = baselines(touched, Headroom(size, slow), nowhere)
        for name in ("bound", "first_touch", "interleave"):
            whole, steady = getattr(known, name)
            assert lines[name, WHOLE][size] == whole
            if steady is not None:
                assert lines[name, STEADY][size] == steady


def counted(pfns, most, pieces=3):
    counts = PageCounts(most)
    odd = (np.arange(len(pfns)) & 1).astype(np.bool_)
    half = len(pfns) // 2
    for part, rows in enumerate((slice(0, half), slice(half, None))):
        for some in np.array_split(np.arange(len(pfns))[rows], pieces):
            counts.add(np.array(pfns, np.uint64)[some], part, odd[some])
    return counts.sampled()


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=100))
def test_pages_come_in_the_order_of_first_touch_with_the_accesses_of_each_half(pfns):
    found = counted(pfns, 64)
    half = len(pfns) // 2
    assert found.rate == 1
    assert found.touched.pfn.tolist() == list(dict.fromkeys(pfns))
    known = found.touched.pfn.tolist()
    assert found.touched.early.tolist() == [pfns[:half].count(pfn) for pfn in known]
    assert found.touched.late.tolist() == [pfns[half:].count(pfn) for pfn in known]
    assert found.odd.tolist() == [pfns[1::2].count(pfn) for pfn in known]


@settings(deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=400))
def test_of_too_many_pages_a_part_is_counted_and_those_completely(pfns):
    found = counted(pfns, 32)
    known = found.touched.pfn.tolist()
    assert len(known) <= 32
    assert known == [pfn for pfn in dict.fromkeys(pfns) if pfn in known]
    assert found.touched.accesses.tolist() == [pfns.count(pfn) for pfn in known]
    assert found.rate == 1 or len(set(pfns)) > 32


def test_of_pages_that_are_all_alike_the_bound_without_chance_is_the_straight_line():
    rng = np.random.default_rng(1)
    pages = 2000
    found = counted(rng.integers(0, pages, 6000), 1 << 12)
    sizes = np.arange(0, found.touched.footprint + 1)
    share = held_out_shares(found.touched, found.odd, sizes)
    assert np.abs(share - sizes / pages).max() < 0.06
    (bound,) = [
        line.share
        for line in placed_lines(found, sizes, 0, None, halves=False)
        if line.name == "bound"
    ]
    assert (bound - share).max() > 0.2


@pytest.mark.parametrize("most", [1 << 12, 1 << 13])
def test_the_error_of_a_part_covers_what_it_is_off(most):
    rng = np.random.default_rng(2)
    pfns = np.floor(20_000 * rng.random(200_000) ** 3).astype(np.uint64)
    sizes = np.arange(1, 20) * 1000
    all_of_them = placed_lines(counted(pfns, 1 << 15), sizes, 20_000, None, halves=False)
    part = placed_lines(counted(pfns, most), sizes, 20_000, None, halves=False)
    for exact, line in zip(all_of_them[:2], part[:2], strict=True):
        assert not exact.error.any()
        assert np.mean(np.abs(exact.share - line.share) <= line.error + 1e-9) > 0.8
