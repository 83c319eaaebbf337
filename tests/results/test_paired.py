"""The interval of paired differences holds the effect as often as it says, whatever the noise."""

from __future__ import annotations

import random
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from pghot.results.paired import CONFIDENCE, FEWEST, MOST, WHOLE, interval


def differences(
    draw: np.random.Generator, pairs: int, effect: float, *, follows: float, drift: float
) -> list[float]:
    """First kind less second in each pair, of a series that follows itself and drifts."""
    noise = np.zeros(2 * pairs)
    for at, fresh in enumerate(draw.standard_normal(2 * pairs)):
        noise[at] = follows * noise[at - 1] + fresh if at else fresh
    noise += drift * np.arange(2 * pairs)
    found = []
    for first, second in noise.reshape(pairs, 2).tolist():
        swapped = draw.random() < 0.5
        found.append(effect + (second - first if swapped else first - second))
    return found


@pytest.mark.parametrize("pairs", [6, 8, 11])
@pytest.mark.parametrize(("follows", "drift"), [(0.0, 0.0), (0.9, 0.0), (0.5, 1.0)])
def test_it_holds_the_effect_as_often_as_it_says(pairs, follows, drift) -> None:
    draw = np.random.default_rng([pairs, int(10 * follows), int(drift)])
    held, said = 0, 0.0
    for _ in range(1000):
        found = interval(differences(draw, pairs, 3.0, follows=follows, drift=drift))
        assert found is not None
        held += found.low <= 3.0 <= found.high
        said = found.confidence
    assert CONFIDENCE <= said < 0.97
    # Three standard errors of a share of 1,000.
    assert abs(held / 1000 - said) < 3 * (said * (1 - said) / 1000) ** 0.5


def test_an_interval_of_what_differs_by_nothing_excludes_zero_one_time_in_twenty() -> None:
    draw = np.random.default_rng(5)
    told = 0
    for _ in range(1000):
        found = interval(differences(draw, 8, 0.0, follows=0.8, drift=0.2))
        assert found is not None
        told += not found.low <= 0 <= found.high
    assert 30 <= told <= 67


def test_of_six_it_goes_from_the_smallest_to_the_largest() -> None:
    """Two of 64 pieces are outside: those beyond all means."""
    assert interval([5, 3, 9, 4, 7, 6]) == (3, 9, 1 - 2 / 64)


def test_it_is_made_of_the_means_of_all_subsets() -> None:
    values = [0.3, -1.2, 4.0, 2.5, 0.0, 1.1, 3.3]
    means = sorted(fmean(some) for size in range(1, 8) for some in combinations(values, size))
    found = interval(values)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(means[2]), pytest.approx(means[-3]))
    assert found.confidence == 1 - 6 / 128


@pytest.mark.parametrize("count", range(FEWEST))
def test_of_fewer_there_is_none(count: int) -> None:
    assert interval([1.0] * count) is None
    assert 2 / 2**5 > 1 - CONFIDENCE >= 2 / 2**FEWEST


@pytest.mark.parametrize("count", [WHOLE + 1, 30, MOST])
def test_of_many_it_looks_at_some_subsets_and_says_the_same_for_the_same_seed(count) -> None:
    draw = random.Random(count)
    values = [draw.gauss(2, 1) for _ in range(count)]
    found = interval(values, seed=9)
    assert found is not None
    assert found == interval(values, seed=9)
    assert found.low < fmean(values) < found.high
    # As Student's for so many, within a tenth of its width.
    half = 2.05 * np.std(values, ddof=1) / count**0.5
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert found.confidence == pytest.approx(CONFIDENCE, abs=1e-4)


def test_adding_to_all_moves_it_by_as_much_and_the_sign_turns_it_round() -> None:
    values = [1.0, 2.0, 4.5, -3.0, 0.2, 0.7, 0.9, 5.0]
    plain, moved = interval(values), interval([value + 10 for value in values])
    turned = interval([-value for value in values])
    assert plain
    assert moved
    assert turned
    assert (moved.low, moved.high) == pytest.approx((plain.low + 10, plain.high + 10))
    assert (turned.low, turned.high) == pytest.approx((-plain.high, -plain.low))
