"""Scans and pointer chases are those walked one access after the other, exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.workloads import nodes
from pghot.workloads.cyclic import CyclicStream, pointer_chase, sequential
from pghot.workloads.nodes import NodeCounts
from pghot.workloads.stream import NEVER
from tests.workloads.walk import Walk


@st.composite
def streams(draw):
    """A stream, and the folio that each access number takes."""
    folios = draw(st.integers(1, 9))
    run = draw(st.integers(1, 5))
    order = draw(st.none() | st.permutations(range(folios)))
    made = CyclicStream(folios, run, None if order is None else np.array(order))
    turn = order or list(range(folios))
    return made, lambda number: turn[(number - 1) // run % folios]


LENGTHS = st.one_of(st.integers(0, 60).map(float), st.floats(0, 60))


@settings(deadline=None)
@given(streams(), st.data())
def test_whatever_is_asked_the_answer_is_that_of_the_walk(both, data) -> None:
    made, folio_at = both
    some = st.sets(st.integers(0, made.folios - 1))
    walk = Walk(
        folio_at,
        data.draw(st.lists(st.integers(0, 3), min_size=made.folios, max_size=made.folios)),
    )
    made.place(np.array(walk.nid, np.int16))
    clock = 0.0
    for _ in range(data.draw(st.integers(1, 6))):
        folios = np.array(sorted(data.draw(some)), np.int64)
        to_nid = data.draw(st.integers(0, 4))
        made.moved(folios, np.array(walk.nid, np.int16)[folios], to_nid)
        for folio in folios:
            walk.nid[folio] = to_nid
        marked, unmarked = (sorted(data.draw(some)) for _ in range(2))
        made.make_prot_none(np.array(marked, np.int64), clock)
        made.end_prot_none(np.array(unmarked, np.int64))
        walk.marked = (walk.marked | set(marked)) - set(unmarked)
        end = clock + data.draw(LENGTHS)
        expected = walk.shares(clock, end)
        shares = made.shares(clock, end)
        assert shares[: len(expected)] == pytest.approx(expected, abs=1e-9)
        assert shares.sum() == pytest.approx(1, abs=1e-9)
        touched = made.advance(clock, end)
        assert list(zip(touched.folios, touched.clocks, strict=True)) == walk.advance(clock, end)
        drawn_at = np.array(data.draw(st.lists(st.floats(clock, end), max_size=5)))
        drawn = made.draw(drawn_at).tolist()
        assert drawn == [folio_at(max(int(np.ceil(at)), 1)) for at in drawn_at]
        since = np.array(data.draw(st.lists(st.floats(0, end), min_size=3, max_size=3)))
        asked = np.array([0, made.folios // 2, made.folios - 1])
        seen = made.seen(asked, since, end).tolist()
        assert seen == [walk.seen(u, s, end) for u, s in zip(asked, since, strict=True)]
        clock = end


def test_whole_clocks_give_whole_counts() -> None:
    made = sequential(4, 8)
    made.place(np.array([0, 1, 1, 0], np.int16))
    assert made.shares(0, 32).tolist() == [0.5, 0.5]
    assert made.shares(4, 20).tolist() == [4 / 16, 12 / 16]
    assert made.shares(32 * 5 + 24, 32 * 7 + 8).tolist() == [32 / 48, 16 / 48]


def test_a_pointer_chase_comes_to_every_folio_once_a_round_and_never_repeats_a_short_cycle() -> (
    None
):
    made = pointer_chase(500, np.random.default_rng(1))
    one, two = (made.draw(np.arange(1.0, 501) + lap * 500).tolist() for lap in (0, 1))
    assert sorted(one) == list(range(500))
    assert one == two
    assert one != list(range(500))


def test_cyclic_streams_go_on_alike() -> None:
    made = sequential(4)
    assert (made.next_change(), made.end_clock) == (NEVER, NEVER)
    made.change(5.0)
    assert made.weights().tolist() == [0.25] * 4


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=50), st.data())
def test_counts_by_block_are_those_of_counting_each_place(nid, data) -> None:
    counts, plain = NodeCounts(len(nid)), list(nid)
    counts.place(np.array(nid, np.int16))
    moved = sorted(data.draw(st.sets(st.integers(0, len(nid) - 1))))
    counts.moved(np.array(moved, np.int64), 6)
    for place in moved:
        plain[place] = 6
    first = data.draw(st.integers(0, 200))
    end = data.draw(st.integers(first, 400))
    expected = np.bincount([plain[at % len(nid)] for at in range(first, end)], minlength=7)
    assert counts.between(first, end).tolist() == expected[: len(counts.total)].tolist()


def test_counts_of_many_blocks_are_those_of_counting_each_place() -> None:
    rng = np.random.default_rng(1)
    nid = rng.integers(0, 3, 5 * nodes.BLOCK + 17).astype(np.int16)
    counts = NodeCounts(len(nid))
    counts.place(nid)
    moved = rng.permutation(len(nid))[:2000]
    counts.moved(moved, 2)
    nid[moved] = 2
    for first, end in [(0, 1), (5, 3000), (1024, 2048), (4000, len(nid)), (5000, 2 * len(nid))]:
        expected = np.bincount(np.resize(nid, end)[first:], minlength=3)
        assert counts.between(first, end).tolist() == expected.tolist()
