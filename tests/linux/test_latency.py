"""How long batches take is known."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.pages.move_latency import BOUNDS_NS, LatencyHistogram

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


@given(times=st.lists(st.integers(0, 10**11)))
def test_durations_are_counted_by_round_bounds_exactly(times):
    histogram = LatencyHistogram()
    for ns in times:
        histogram.add(ns)
    assert histogram.within() == [(b, sum(ns <= b for ns in times)) for b in BOUNDS_NS]
    assert histogram.sum_ns == sum(times)
    assert (BOUNDS_NS[0], BOUNDS_NS[-1]) == (10**5, 5 * 10**9)
