"""Random streams in bulk go as they would one access after the other."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.workloads.stream import NEVER
from pghot.workloads.table import QUANTUM, Phase, WeightTable
from pghot.workloads.weighted import RandomStream
from tests.workloads.walk import alike, first_accesses, fits, follows, is_near

ALL = np.arange(8)
SHAPES = {"flat": np.ones(8), "steep": np.arange(1, 9) ** -1.5}
RUNS = 1000


def stream(phases, seed=1):
    return RandomStream(phases, np.random.default_rng(seed))


def first_touches(made, until, steps=5):
    """Clock of each folio's first access after 0, in bulk; `until` where it is not before."""
    made.make_prot_none(np.arange(made.folios), 0.0)
    first = np.full(made.folios, until)
    for start, end in pairwise(np.linspace(0, until, steps + 1)):
        touched = made.advance(start, end)
        first[touched.folios] = touched.clocks
        if end == made.next_change():
            made.change(end)
    return first


@pytest.mark.parametrize("shape", SHAPES)
def test_first_accesses_come_when_they_would_one_by_one(shape) -> None:
    weights, until, rng = SHAPES[shape], 30.0, np.random.default_rng(2)
    bulk = np.array([first_touches(stream(weights, seed), until) for seed in range(RUNS)])
    walked = np.array([first_accesses(weights, ALL, until, rng) for _ in range(RUNS)])
    walked = np.nan_to_num(walked, nan=until)
    for folio in ALL:
        assert alike(bulk[:, folio], walked[:, folio])


@pytest.mark.parametrize("shape", SHAPES)
def test_as_many_folios_are_touched_in_a_step_as_one_by_one(shape) -> None:
    weights, rng = SHAPES[shape], np.random.default_rng(3)
    bulk = [(first_touches(stream(weights, seed), 8.0) < 8).sum() for seed in range(RUNS)]
    walked = [(~np.isnan(first_accesses(weights, ALL, 8.0, rng))).sum() for _ in range(RUNS)]
    counts = [np.bincount(sample, minlength=9) for sample in (bulk, walked)]
    often = np.min(counts, axis=0) >= 10
    bulk_often, walked_often = (sample[often] for sample in counts)
    # Both samples vary: the difference of two counts has twice the variance of one.
    middle = (bulk_often + walked_often) / 2
    assert fits(middle + (bulk_often - middle) * np.sqrt(2), middle)


def test_the_wait_for_a_marked_folio_is_exponential_in_its_weight() -> None:
    made = stream(np.ones(20_000))
    made.advance(0, 5000)
    made.make_prot_none(np.arange(20_000), 5000.0)
    touched = made.advance(5000.0, 1e9)
    assert len(touched.folios) == 20_000
    assert follows(touched.clocks - 5000, lambda wait: 1 - np.exp(-wait / 20_000))


def test_a_folio_without_weight_is_never_touched_but_stays_marked() -> None:
    made = stream(np.array([1.0, 0.0]))
    made.make_prot_none(np.array([0, 1]), 0.0)
    assert made.advance(0, 1e9).folios.tolist() == [0]
    assert made.seen(np.array([1]), np.array([0.0]), 1e9).tolist() == [False]


STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 7), max_size=8),  # marked
        st.lists(st.integers(0, 7), max_size=3),  # unmarked
        st.floats(0, 20),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(STEPS, st.integers(0, 100))
def test_a_marked_folio_is_given_once_in_order_and_within_the_step(steps, seed) -> None:
    made = stream(SHAPES["steep"], seed)
    marked: set[int] = set()
    clock = 0.0
    for mark, unmark, length in steps:
        made.make_prot_none(np.array(mark, np.int64), clock)
        made.end_prot_none(np.array(unmark, np.int64))
        marked = (marked | set(mark)) - set(unmark)
        touched = made.advance(clock, clock + length)
        assert set(touched.folios.tolist()) <= marked
        assert len(set(touched.folios.tolist())) == len(touched.folios)
        assert (np.diff(touched.clocks) >= 0).all()
        assert ((touched.clocks > clock) & (touched.clocks <= clock + length)).all()
        marked -= set(touched.folios.tolist())
        clock += length
    rest = made.advance(clock, NEVER)
    assert set(rest.folios.tolist()) == marked


def test_marking_a_marked_folio_again_does_not_put_its_access_off() -> None:
    once, often = stream(SHAPES["flat"]), stream(SHAPES["flat"])
    once.make_prot_none(ALL, 0.0)
    often.make_prot_none(ALL, 0.0)
    for clock in (0.1, 0.2, 0.3):
        often.make_prot_none(ALL, clock)
    assert once.advance(0, 1e6).clocks.tolist() == often.advance(0, 1e6).clocks.tolist()


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
    st.lists(st.tuples(st.sets(st.integers(0, 7), min_size=1), st.integers(0, 6))),
)
def test_shares_kept_move_by_move_equal_those_added_up_anew(nid, moves) -> None:
    made, nids = stream(SHAPES["steep"]), np.array(nid, np.int16)
    made.place(nids.copy())
    for folios, to_nid in moves:
        chosen = np.array(sorted(folios))
        made.moved(chosen, nids[chosen], to_nid)
        nids[chosen] = to_nid
    fresh = stream(SHAPES["steep"])
    fresh.place(nids)
    kept = made.shares(0, 1)
    assert kept[: nids.max() + 1].tolist() == fresh.shares(0, 1).tolist()  # to the last bit
    assert not kept[nids.max() + 1 :].any()
    assert kept.sum() == 1


def test_shares_are_those_of_accesses_counted_one_by_one() -> None:
    made, nids = stream(SHAPES["steep"]), np.array([0, 1, 0, 2, 1, 0, 2, 2], np.int16)
    made.place(nids)
    drawn = made.draw(np.arange(1.0, 40_001))
    assert fits(np.bincount(nids[drawn]), 40_000 * made.shares(0, 40_000))


@pytest.mark.parametrize("shape", SHAPES)
def test_folios_are_seen_as_often_as_accesses_one_by_one_come_to_them(shape) -> None:
    made, times = stream(SHAPES[shape]), 20_000
    weights = made.weights()
    for folio in ALL:
        seen = made.seen(np.full(times, folio), np.full(times, 3.0), 8.0).sum()
        chance = 1 - np.exp(-5 * weights[folio])
        assert is_near(seen, times * chance, np.sqrt(times * chance * (1 - chance)))


def test_what_was_touched_was_seen_and_what_stays_marked_was_not() -> None:
    made = stream(np.ones(1000))
    folios = np.arange(1000)
    made.make_prot_none(folios, 0.0)
    first = np.isin(folios, made.advance(0, 350).folios)
    made.make_prot_none(folios[~first], 350.0)  # they are marked already, and stay so since 0
    touched = first | np.isin(folios, made.advance(350, 700).folios)
    assert 0 < first.sum() < touched.sum() < 1000
    assert (made.seen(folios, np.zeros(1000), 700.0)[~first] == touched[~first]).all()
    assert made.seen(folios[first], np.zeros(first.sum()), 700.0).all()


TWO = WeightTable(np.array([9.0, 1.0])), WeightTable(np.array([1.0, 4.0]))


def test_the_wait_for_a_marked_folio_follows_the_weights_of_each_phase() -> None:
    phases = [Phase(2.0, TWO[0]), Phase(NEVER, TWO[1])]
    first = np.array([first_touches(stream(phases, seed), 40.0, 20) for seed in range(RUNS)])
    for folio in (0, 1):
        before, after = (table.weights[folio] for table in TWO)
        assert follows(
            first[:, folio],
            lambda clock, b=before, a=after: (
                1 - np.exp(-b * np.minimum(clock, 2) - a * np.maximum(clock - 2, 0))
            ),
        )


def test_a_change_brings_other_shares_weights_and_draws() -> None:
    made = stream([Phase(10.0, TWO[0]), Phase(5.0, TWO[1]), Phase(NEVER, TWO[0], 1)])
    made.place(np.array([0, 1], np.int16))
    found = []
    for clock in (10.0, 15.0):
        assert made.next_change() == clock
        made.change(clock)
        found.append((made.shares(clock, clock + 1).tolist(), made.weights().tolist()))
        drawn = np.bincount(made.draw(np.full(20_000, clock + 1)), minlength=2)
        assert fits(drawn, 20_000 * made.weights())
    assert found == [
        (TWO[1].weights.tolist(), TWO[1].weights.tolist()),
        (TWO[0].weights[::-1].tolist(), TWO[0].weights[::-1].tolist()),
    ]
    assert made.next_change() == NEVER


def test_what_was_seen_counts_all_phases_since() -> None:
    made, times = stream([Phase(2.0, TWO[0]), Phase(3.0, TWO[1]), Phase(NEVER, TWO[0])]), 20_000
    made.change(2.0)
    made.change(5.0)
    first, second = (table.weights[1] for table in TWO)
    for since, expected in {0.5: 1.5 * first + 3 * second + first, 4.0: second + first}.items():
        seen = made.seen(np.ones(times, np.int64), np.full(times, since), 6.0).sum()
        chance = 1 - np.exp(-expected)
        assert is_near(seen, times * chance, np.sqrt(times * chance * (1 - chance)))


def test_a_seed_gives_the_same_stream_again() -> None:
    def history(seed):
        made = stream([Phase(50.0, TWO[0]), Phase(NEVER, TWO[1])], seed)
        made.make_prot_none(np.arange(2), 0.0)
        drawn = made.draw(np.arange(10.0)).tolist()
        made.change(50.0)
        made.make_prot_none(np.arange(2), 50.0)
        return drawn, made.advance(50.0, 90.0).clocks.tolist()

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_weights_that_add_up_to_one_leave_no_share_behind() -> None:
    made = stream(np.random.default_rng(1).random(1000))
    made.place(np.ones(1000, np.int16))
    made.moved(np.arange(1000), np.ones(1000, np.int16), 0)
    assert made.shares(0, 1).tolist() == [1.0, 0.0]
    assert (made.weights() % QUANTUM == 0).all()


def test_a_stream_of_which_nothing_was_ever_marked_has_nothing_to_notice() -> None:
    made = stream([Phase(2.0, TWO[0]), Phase(NEVER, TWO[1])])
    made.end_prot_none(np.arange(2))
    assert made.advance(0.0, 2.0).folios.tolist() == []
    made.change(2.0)
    made.make_prot_none(np.arange(2), 2.0)
    touched = made.advance(2.0, 1e9)
    assert sorted(touched.folios.tolist()) == [0, 1]
    assert (touched.clocks > 2.0).all()
