"""Placements without promotion, and the bound above them all."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.baselines.folios import FirstTouches, Headroom
from pghot.baselines.placements import filled, first_touch, hottest, interleaved, slow_first
from pghot.baselines.shares import baselines

SIZES = st.sampled_from([1, 1, 1, 2, 4, 16])
FOLIOS = st.lists(st.tuples(SIZES, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9)
PLACES = {"first touch": first_touch, "slow first": slow_first, "interleaved": interleaved}


def touched_of(folios):
    pages, early, late = (np.array(column, np.int64) for column in zip(*folios, strict=True))
    return FirstTouches(np.arange(len(pages), dtype=np.uint64) * 64, pages, early, late)


def plain_filled(pages, room):
    taken = []
    for size in pages:
        taken.append(size <= room)
        room -= size if taken[-1] else 0
    return taken


@given(st.lists(SIZES, max_size=30), st.integers(0, 80))
def test_a_tier_is_filled_folio_by_folio_as_each_fits(pages, room):
    assert filled(np.array(pages, np.int64), room).tolist() == plain_filled(pages, room)


@given(FOLIOS, st.integers(0, 60))
def test_no_placement_within_the_room_is_above_the_bound(folios, room):
    pages, accesses = zip(*[(size, early + late) for size, early, late in folios], strict=True)
    best = max(
        sum(accesses[at] for at in chosen)
        for count in range(len(folios) + 1)
        for chosen in combinations(range(len(folios)), count)
        if sum(pages[at] for at in chosen) <= room
    )
    assert hottest(np.array(accesses), np.array(pages), room) >= best - 1e-9


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(0, 25))
def test_of_folios_of_one_page_the_bound_is_reached(accesses, room):
    best = sum(sorted(accesses, reverse=True)[:room])
    assert hottest(np.array(accesses), np.ones(len(accesses), np.int64), room) == best


@given(FOLIOS, st.integers(0, 40), st.floats(0, 1))
def test_every_placement_keeps_to_the_room(folios, spare, part):
    touched = touched_of(folios)
    room = Headroom(round((touched.footprint + spare) * part), 0)
    room = room._replace(slow=touched.footprint + spare - room.fast)
    for placed in (first_touch(touched, room), interleaved(touched, room)):
        assert touched.pages[placed].sum() <= room.fast
    assert touched.pages[~slow_first(touched, room)].sum() <= room.slow


def test_first_touch_gives_the_top_tier_to_the_pages_that_come_first():
    touched = touched_of([(1, 1, 0)] * 5)
    assert first_touch(touched, Headroom(2, 9)).tolist() == [True, True, False, False, False]
    assert slow_first(touched, Headroom(9, 3)).tolist() == [False, False, False, True, True]


@pytest.mark.parametrize("times", [1, 1 << 40])
def test_interleaving_gives_each_tier_pages_in_proportion_to_its_room(times):
    touched = touched_of([(1, 1, 0)] * 8)
    dealt = interleaved(touched, Headroom(2 * times, 6 * times))
    assert dealt.tolist() == [False, False, False, True] * 2


def test_shares_are_of_the_whole_and_of_the_second_half():
    touched = touched_of([(1, 8, 0), (1, 1, 1), (1, 1, 9)])
    found = baselines(touched, Headroom(1, 2), np.array([False, True, False]))
    assert {name: tuple(share.values()) for name, share in found.to_dict().items()} == {
        "as_placed": (2 / 20, 1 / 10),
        "first_touch": (8 / 20, 0.0),
        "interleave": (10 / 20, 9 / 10),
        "bound": (10 / 20, 9 / 10),
    }


def test_without_accesses_there_is_no_share():
    touched = FirstTouches(*(np.zeros(0, dtype) for dtype in (np.uint64, np.int64, np.int64)))
    found = baselines(touched, Headroom(1, 2), np.zeros(0, np.bool_))
    assert found.to_dict()["bound"] == {"fast_share": None, "steady_fast_share": None}
