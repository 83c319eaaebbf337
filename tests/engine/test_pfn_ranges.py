"""Ranges of PFNs are the sets that they stand for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.memory import Node
from pghot.engine.pfn_arrays import contained, nth_pfns, pfns_of
from pghot.engine.pfn_ranges import PfnRange, intersect, merge, subtract, whole_sections
from pghot.engine.units import PAGES_PER_SECTION

PFNS = st.integers(0, 30)
RANGES = st.lists(st.builds(PfnRange, PFNS, PFNS), max_size=6)


def members(ranges):
    return {pfn for one in ranges for pfn in range(one.start, one.end)}


@given(RANGES, RANGES)
def test_merging_meeting_and_taking_away_are_those_of_sets(left, right):
    assert members(merge(left)) == members(left)
    assert members(intersect(left, right)) == members(left) & members(right)
    assert members(subtract(left, right)) == members(left) - members(right)


@given(RANGES, RANGES)
def test_they_come_in_as_few_ranges_as_can_be(left, right):
    for made in (merge(left), intersect(left, right), subtract(left, right)):
        assert all(one.start < one.end for one in made)
        assert all(low.end < high.start for low, high in itertools.pairwise(made))


@given(RANGES)
def test_arrays_of_pfns_are_their_members_in_order(ranges):
    merged = merge(ranges)
    pfns = pfns_of(merged)
    assert pfns.tolist() == sorted(members(ranges))
    if merged:
        assert nth_pfns(merged, np.arange(len(pfns), dtype=np.uint64)).tolist() == pfns.tolist()
    every = np.arange(32, dtype=np.uint64)
    assert set(every[contained(merged, every)].tolist()) == members(ranges)


@given(st.lists(st.builds(PfnRange, *[st.integers(0, 9 * PAGES_PER_SECTION)] * 2), max_size=5))
def test_whole_sections_are_those_with_a_page(ranges):
    numbers = {
        number
        for one in whole_sections(ranges)
        for number in range(one.start // PAGES_PER_SECTION, one.end // PAGES_PER_SECTION)
    }
    assert numbers == {
        number
        for one in ranges
        if one.start < one.end
        for number in range(one.start // PAGES_PER_SECTION, (one.end - 1) // PAGES_PER_SECTION + 1)
    }


@given(st.integers(0, 9), st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_node_split_into_adjacent_ranges_is_the_unsplit_node(start, sizes):
    edges = [start + sum(sizes[:at]) for at in range(len(sizes) + 1)]
    split = Node.of_ranges(1, itertools.pairwise(edges), toptier=False, free_pages=1)
    assert split == Node(1, start, sum(sizes), toptier=False, free_pages=1)
    assert hash(split) == hash(Node(1, start, sum(sizes), toptier=False, free_pages=1))


@pytest.mark.parametrize(
    ("ranges", "line"),
    [
        ([(3, 3)], r"^node 7: range \[3, 3\) is empty"),
        ([(3, 4), (1, 2)], r"^node 7: range \[1, 2\) starts below PFN 4"),
        ([(3, 6), (5, 9)], r"^node 7: range \[5, 9\) starts below PFN 6"),
    ],
)
def test_a_node_refuses_ranges_that_are_empty_or_do_not_ascend(ranges, line):
    with pytest.raises(ValueError, match=line):
        Node.of_ranges(7, ranges, toptier=True)


def test_a_nodes_first_pfn_and_pages_are_those_of_its_ranges():
    with pytest.raises(ValueError, match=r"^node 7: start_pfn and pages are not those"):
        Node(7, 0, 5, True, ranges=(PfnRange(0, 2), PfnRange(3, 5)))
