"""Columns of time are bounded in number, and widening them loses nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.binning.columns import TimeColumns, added, latest, summed

TIMES = st.lists(st.integers(1, 1 << 62), max_size=60).map(sorted)


def binned(times: list[int], most: int = 8, step_us: int = 10) -> tuple[TimeColumns, np.ndarray]:
    columns = TimeColumns(step_us, most)
    counts = np.zeros(most, np.int64)
    columns.keep(counts, summed)
    for time_us in times:
        counts[columns.at(time_us)] += 1
    return columns, counts


@given(TIMES)
@settings(deadline=None)
def test_every_time_is_counted_in_the_column_it_is_in(times: list[int]) -> None:
    columns, counts = binned(times)
    expected = np.bincount([(t - 1) // columns.step_us for t in times] or [0], minlength=8)
    assert counts.tolist() == (expected if times else expected * 0).tolist()


@given(TIMES)
@settings(deadline=None)
def test_columns_are_no_wider_than_they_must_be(times: list[int]) -> None:
    columns, _counts = binned(times)
    widest = max(times, default=1)
    assert columns.step_us == 10 or widest > columns.step_us // 2 * 8
    assert columns.used <= 8


def test_the_time_of_a_wake_up_belongs_to_the_column_that_ends_with_it() -> None:
    columns = TimeColumns(100, 8)
    assert [columns.at(t) for t in (0, 1, 100, 101, 200)] == [0, 0, 0, 1, 1]


def test_a_level_of_two_columns_is_the_later_one() -> None:
    columns = TimeColumns(1, 4)
    levels = np.zeros(4, np.int64)
    columns.keep(levels, latest)
    for time_us in (1, 2, 3, 4):
        levels[columns.at(time_us)] = time_us * 10
    columns.at(5)
    assert levels.tolist() == [20, 40, 0, 0]


def test_counts_stop_at_what_their_type_holds() -> None:
    columns = TimeColumns(1, 2)
    counts = np.full(2, 0xFFFF_FFFF, np.uint32)
    columns.keep(counts, added)
    columns.at(2)
    columns.at(3)
    assert counts.tolist() == [0xFFFF_FFFF, 0]
