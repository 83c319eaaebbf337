"""What is said of the blocks of a trial: by which measure, and what does not count."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from pghot.results.trial import (
    BETTER,
    FAST_SHARE,
    METRIC,
    STALL_FULL,
    WORSE,
    Block,
    TrialResult,
    late_promotions,
)
from pghot.results.verdict import CANNOT_BE_TOLD


def block(pair: int, arm: int, values: Mapping[str, float], why: str = "") -> Block:
    return Block(pair, arm, 0.0, 1.0, 3.0, values, why=why)


def trial(
    pairs: Sequence[tuple[Mapping[str, float], Mapping[str, float]]], better: str | None = None
) -> TrialResult:
    """A trial whose blocks have these values, arm 0 and arm 1 of each pair."""
    blocks = [
        block(pair, arm, values)
        for pair, both in enumerate(pairs)
        for arm, values in enumerate(both)
    ]
    return TrialResult(
        ("promotion on", "promotion off"),
        len(pairs),
        3.0,
        1.0,
        1,
        [0, 1] * len(pairs),
        "cmd" if better else None,
        better,
        blocks,
    )


def of(measure: str, firsts: Sequence[float], seconds: Sequence[float], better: str | None = None):
    return trial(
        [({measure: a}, {measure: b}) for a, b in zip(firsts, seconds, strict=True)], better
    )


def test_a_metric_of_which_lower_is_better_and_that_is_lower_each_time_is_better() -> None:
    found = of(METRIC, [1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 9], "lower")
    metric = found.measures()[METRIC]
    assert (metric.low, metric.high) == (-3, -2)
    assert (found.verdict, found.deciding()) == (BETTER, METRIC)
    assert of(METRIC, [1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 9], "higher").verdict == WORSE


def test_an_interval_with_zero_in_it_cannot_be_told() -> None:
    found = of(METRIC, [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 5.5], "lower")
    metric = found.measures()[METRIC]
    assert metric.difference == pytest.approx(-0.75)
    assert metric.low < 0 < metric.high
    assert found.verdict == CANNOT_BE_TOLD


def test_an_interval_that_ends_at_zero_cannot_be_told() -> None:
    found = of(METRIC, [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 6], "lower")
    assert found.measures()[METRIC].high == 0
    assert found.verdict == CANNOT_BE_TOLD


def test_fewer_than_six_pairs_have_a_difference_and_no_interval() -> None:
    found = of(FAST_SHARE, [0.9] * 5, [0.1] * 5)
    share = found.measures()[FAST_SHARE]
    assert (share.difference, share.low, share.confidence) == (pytest.approx(0.8), None, None)
    assert found.verdict == CANNOT_BE_TOLD
    assert found.to_dict()["measures"][FAST_SHARE]["interval"] is None


def test_a_pair_of_which_one_block_does_not_count_does_not_count() -> None:
    good = of(FAST_SHARE, [0.9] * 7, [0.5] * 7)
    blocks = list(good.blocks)
    blocks[4] = block(2, 0, {FAST_SHARE: 0.0}, why="it began late")
    del blocks[-1]  # the last was not over
    found = TrialResult(good.arms, 7, 3.0, 1.0, 1, good.order, None, None, blocks)
    assert len(found.complete()) == 5
    assert found.measures()[FAST_SHARE].means == (pytest.approx(0.9), pytest.approx(0.5))


def test_stalls_alone_decide_nothing() -> None:
    found = of(STALL_FULL, [0.0] * 6, [0.5, 0.4, 0.6, 0.5, 0.5, 0.5])
    assert found.measures()[STALL_FULL].verdict == BETTER
    assert (found.verdict, found.deciding()) == (CANNOT_BE_TOLD, None)


def test_a_metric_that_was_asked_for_decides_even_where_it_gave_nothing() -> None:
    """Else the next measure would be chosen by what came out."""
    found = of(FAST_SHARE, [0.9] * 6, [0.5] * 6, "lower")
    assert found.measures()[METRIC].pairs == 0
    assert (found.verdict, found.deciding()) == (CANNOT_BE_TOLD, METRIC)


def test_it_is_plain_data() -> None:
    found = of(FAST_SHARE, [0.9] * 6, [0.5] * 6).to_dict()
    assert json.loads(json.dumps(found)) == found
    assert found["blocks"][0]["values"] == {FAST_SHARE: 0.9}


def test_promotions_after_the_warm_up_are_a_share_of_all_in_blocks_that_count() -> None:
    blocks = [
        Block(0, 0, 0, 1, 3, promoted_pages=100, promoted_late=20),
        Block(1, 0, 0, 1, 3, promoted_pages=100, promoted_late=100, why="it began late"),
        Block(1, 1, 0, 1, 3),
    ]
    assert late_promotions(blocks) == pytest.approx(0.2)
    assert late_promotions([]) == 0
