"""Weights add up exactly, and folios are drawn by them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.workloads.table import QUANTUM, WeightTable, alias_table, choose, quantised
from tests.workloads.walk import fits

WEIGHTS = st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3)


@settings(deadline=None)
@given(WEIGHTS)
def test_weights_are_whole_quanta_that_sum_to_one_and_are_near_what_was_asked_for(given_) -> None:
    weights = np.array(given_)
    made = quantised(weights)
    assert sum(Fraction(x) for x in made.tolist()) == 1
    assert (made / QUANTUM == np.round(made / QUANTUM)).all()
    assert np.abs(made - weights / weights.sum()).max() <= (len(weights) + 2) * QUANTUM
    assert (made[weights == 0] == 0).all()


@pytest.mark.parametrize("weights", [[0.0, 0.0], [1.0, -0.5], [np.inf, 1.0], [np.nan]])
def test_what_is_no_weight_is_refused(weights) -> None:
    with pytest.raises(ValueError, match="weights want to be"):
        quantised(np.array(weights))


@settings(deadline=None)
@given(WEIGHTS)
def test_an_alias_table_gives_every_folio_exactly_its_weight(given_) -> None:
    weights = quantised(np.array(given_))
    keep, other = alias_table(weights)
    assert ((keep >= 0) & (keep <= 1)).all()
    chance = keep.copy()
    np.add.at(chance, other, 1 - keep)
    assert chance / len(weights) == pytest.approx(weights, abs=1e-13)


def test_the_loop_that_draws_does_what_it_says() -> None:
    rng = np.random.default_rng(5)
    keep, other = alias_table(quantised(rng.random(50)))
    places, chances = rng.integers(0, 50, 500), rng.random(500)
    plain = [p if c < keep[p] else other[p] for p, c in zip(places, chances, strict=True)]
    assert choose(keep, other, places, chances).tolist() == plain


@pytest.mark.parametrize("shift", [0, 7])
@pytest.mark.parametrize("permuted", [False, True])
@pytest.mark.parametrize("kind", ["equal", "steep"])
def test_folios_are_drawn_by_their_weights(kind, permuted, shift) -> None:
    rng = np.random.default_rng(11)
    weights = np.ones(20) if kind == "equal" else np.arange(1, 21) ** -1.0
    table = WeightTable(weights, rng.permutation(20) if permuted else None)
    drawn = np.bincount(table.draw(50_000, rng, shift), minlength=20)
    assert fits(drawn, 50_000 * table.by_folio(shift))


def test_a_shift_moves_weights_along_the_order() -> None:
    order = np.array([2, 0, 3, 1])
    table = WeightTable(np.array([4.0, 3.0, 2.0, 1.0]), order)
    assert table.by_folio()[order].tolist() == table.weights.tolist()
    assert table.by_folio(1)[order].tolist() == np.roll(table.weights, 1).tolist()
    folios = np.array([3, 1, 1])
    assert table.of(folios, 3).tolist() == table.by_folio(3)[folios].tolist()
