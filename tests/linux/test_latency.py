"""Batches keep within a latency budget, and their durations are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.latency import BOUNDS_NS, LatencyBudget, LatencyHistogram

MS = 1_000_000
DURATIONS = st.lists(st.integers(0, 10**12), min_size=1, max_size=100)


@given(durations=DURATIONS, percent=st.floats(0.1, 100))
def test_a_percentile_is_at_most_an_eighth_above_the_true_one(
    durations: list[int], percent: float
) -> None:
    histogram = LatencyHistogram()
    for duration in durations:
        histogram.add(duration)
    true = sorted(durations)[max(math.ceil(len(durations) * percent / 100), 1) - 1]
    given_ = histogram.percentile_ns(percent)
    assert true <= given_ <= min(true + true // 8, max(durations))
    assert histogram.count == len(durations)
    assert histogram.max_ns == max(durations)


def test_without_a_batch_every_figure_is_0() -> None:
    assert LatencyHistogram().summary() == {"count": 0, "p50_ms": 0, "p99_ms": 0, "max_ms": 0}


def test_a_summary_is_in_milliseconds() -> None:
    histogram = LatencyHistogram()
    histogram.add(5 * MS)
    assert histogram.summary() == {"count": 1, "p50_ms": 5, "p99_ms": 5, "max_ms": 5}


def test_durations_out_of_range_are_counted_at_its_ends() -> None:
    histogram = LatencyHistogram()
    histogram.add(-5)
    histogram.add(1 << 70)
    assert histogram.percentile_ns(50) == 0
    assert histogram.max_ns == histogram.percentile_ns(100) == 1 << 62


def test_a_batch_over_budget_halves_the_next() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(512, 20 * MS + 1)
    assert (budget.pages, budget.over) == (256, 1)
    budget.record(100, 21 * MS)
    assert (budget.pages, budget.over) == (50, 2)


def test_a_full_batch_well_under_budget_adds_a_step() -> None:
    budget = LatencyBudget(budget_ms=20, start=512, step=64)
    budget.record(512, 10 * MS)
    assert budget.pages == 576


def test_a_batch_a_little_under_budget_changes_nothing() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(512, 10 * MS + 1)
    budget.record(512, 20 * MS)
    assert (budget.pages, budget.over) == (512, 0)


def test_a_small_batch_says_nothing_of_a_large_one() -> None:
    budget = LatencyBudget(budget_ms=20, start=512)
    budget.record(256, 1)
    assert budget.pages == 512


@given(
    maximum=st.integers(1, 10_000),
    start=st.integers(1, 20_000),
    batches=st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 10**9)), max_size=50),
)
def test_the_size_stays_between_one_page_and_the_maximum(
    maximum: int, start: int, batches: list[tuple[int, int]]
) -> None:
    budget = LatencyBudget(maximum=maximum, start=start)
    for pages, elapsed in batches:
        budget.record(pages, elapsed)
        assert 1 <= budget.pages <= maximum
    assert budget.latencies.count == len(batches)


@given(ns_per_page=st.integers(100, 5 * MS), start=st.integers(1, 4096))
def test_batches_settle_within_the_budget(ns_per_page: int, start: int) -> None:
    """At a steady cost a page, after the first few, none is over by more than one step."""
    budget = LatencyBudget(budget_ms=20, start=start, step=64)
    for _ in range(13):
        budget.record(budget.pages, budget.pages * ns_per_page)
    for _ in range(50):
        assert budget.pages * ns_per_page <= 20 * MS + 64 * ns_per_page
        budget.record(budget.pages, budget.pages * ns_per_page)


@given(folios=st.lists(st.sampled_from([1, 16, 512]), max_size=40), pages=st.integers(1, 2000))
def test_a_batch_takes_whole_folios_up_to_its_size_and_one_at_least(
    folios: list[int], pages: int
) -> None:
    number = LatencyBudget(start=pages).fits(np.array(folios, np.uint64))
    assert number >= min(len(folios), 1)
    assert number <= 1 or sum(folios[:number]) <= pages
    assert number == len(folios) or sum(folios[: number + 1]) > pages


@pytest.mark.parametrize("name", ["budget_ms", "maximum", "start", "step"])
def test_sizes_and_budget_are_above_0(name: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        LatencyBudget(**{name: 0})


@given(times=st.lists(st.integers(0, 10**11)))
def test_durations_are_counted_by_round_bounds_exactly(times):
    histogram = LatencyHistogram()
    for ns in times:
        histogram.add(ns)
    assert histogram.within() == [(b, sum(ns <= b for ns in times)) for b in BOUNDS_NS]
    assert histogram.sum_ns == sum(times)
    assert (BOUNDS_NS[0], BOUNDS_NS[-1]) == (10**5, 5 * 10**9)
