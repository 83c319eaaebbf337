"""Batches keep within a latency budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.pages.batch_size import FEWEST, LatencyBudget

MS = 1_000_000


def test_a_batch_over_the_budget_makes_the_next_at_most_by_half_smaller() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(512, 100 * MS)
    assert (budget.pages, budget.over) == (256, 1)
    budget.record(100, 25 * MS)
    assert 50 <= budget.pages < 100
    assert budget.over == 2


def test_a_full_batch_within_the_budget_makes_the_next_at_most_twice_as_large() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(512, 1 * MS)
    assert budget.pages == 1024
    budget.record(1024, 16 * MS)
    assert 1024 < budget.pages < 2048
    assert budget.over == 0


def test_a_small_batch_does_not_make_a_larger_one() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(256, 1)
    assert budget.pages == 512


@given(
    maximum=st.integers(1, 10_000),
    start=st.integers(1, 20_000),
    batches=st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 10**9)), max_size=50),
)
def test_the_size_stays_between_the_fewest_pages_and_the_maximum(
    maximum: int, start: int, batches: list[tuple[int, int]]
) -> None:
    budget = LatencyBudget(maximum=maximum, start=start)
    for pages, elapsed in batches:
        budget.record(pages, elapsed)
        assert min(FEWEST, maximum) <= budget.pages <= maximum
    assert budget.latencies.count == len(batches)


@given(
    us_per_call=st.integers(0, 13_000),
    ns_per_page=st.integers(100, 5 * MS),
    start=st.integers(1, 4096),
)
def test_batches_settle_close_below_the_budget_whatever_calls_and_pages_cost(
    us_per_call: int, ns_per_page: int, start: int
) -> None:
    def cost(pages: int) -> int:
        return us_per_call * 1000 + pages * ns_per_page

    budget = LatencyBudget(budget_ms=20, start=start)
    for _ in range(40):
        budget.record(budget.pages, cost(budget.pages))
    for _ in range(20):
        assert budget.pages <= 2 * FEWEST or cost(budget.pages - 1) <= 20 * MS  # tries a page more
        assert budget.pages == 4096 or cost(budget.pages * 2 + 1) > 20 * MS
        budget.record(budget.pages, cost(budget.pages))


def test_a_call_that_costs_the_whole_budget_by_itself_still_moves_pages_in_number() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    for _ in range(40):
        budget.record(budget.pages, 30 * MS + budget.pages * 10_000)
    assert 200 <= budget.pages <= 1000  # 5 ms of them, were the two told apart exactly


@pytest.mark.parametrize("call_ms", [30, 42, 200])
def test_small_batches_grow_also_where_calls_cost_more_than_the_budget(call_ms: int) -> None:
    budget = LatencyBudget(budget_ms=20, start=2)
    for _ in range(120):
        budget.record(budget.pages, call_ms * MS + budget.pages * 10_000)
    assert 200 <= budget.pages <= 1000


def test_a_batch_that_was_held_up_once_is_soon_forgotten() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    for ns in [10 * MS + 80 * 100_000, 80 * MS, *[0] * 20]:
        budget.record(budget.pages, ns or 10 * MS + budget.pages * 100_000)
    assert 60 <= budget.pages <= 100


@given(
    folios=st.lists(st.sampled_from([1, 16, 512]), max_size=40), pages=st.integers(FEWEST, 2000)
)
def test_a_batch_takes_whole_folios_up_to_its_size_and_one_at_least(
    folios: list[int], pages: int
) -> None:
    number = LatencyBudget(start=pages).fits(np.array(folios, np.uint64))
    assert number >= min(len(folios), 1)
    assert number <= 1 or sum(folios[:number]) <= pages
    assert number == len(folios) or sum(folios[: number + 1]) > pages


@pytest.mark.parametrize("name", ["budget_ms", "maximum", "start"])
def test_sizes_and_budget_are_above_0(name: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        LatencyBudget(**{name: 0})
