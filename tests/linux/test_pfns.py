from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.pfn_ranges import PfnRange, intersect, merge

ranges = st.lists(st.builds(PfnRange, st.integers(0, 40), st.integers(0, 40)), max_size=8)


def pfns(of: list[PfnRange] | tuple[PfnRange, ...]) -> set[int]:
    return {pfn for one in of for pfn in range(one.start, one.end)}


@given(ranges)
def test_merged_ranges_hold_the_same_pfns_and_do_not_touch(some: list[PfnRange]) -> None:
    merged = merge(some)
    assert pfns(merged) == pfns(some)
    assert all(low.end < high.start for low, high in pairwise(merged))


@given(ranges, ranges)
def test_an_intersection_holds_the_pfns_of_both(
    some: list[PfnRange], more: list[PfnRange]
) -> None:
    assert pfns(intersect(some, more)) == pfns(some) & pfns(more)
