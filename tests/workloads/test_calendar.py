"""A calendar gives folios back in the order of their clocks, each once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.workloads import calendar
from pghot.workloads.calendar import Calendar
from pghot.workloads.stream import NEVER

UNITS = 12


class Plain:
    """The same with a dictionary, sorted anew each time."""

    def __init__(self) -> None:
        self.due: dict[int, float] = {}

    def put(self, folios, dues):
        for folio, due in zip(folios, dues, strict=True):
            if folio not in self.due and due < NEVER:
                self.due[folio] = due

    def remove(self, folios):
        for folio in folios:
            self.due.pop(folio, None)

    def take(self, end):
        found = sorted((due, folio) for folio, due in self.due.items() if due <= end)
        self.remove([folio for _, folio in found])
        return found


UNIT_LISTS = st.lists(st.integers(0, UNITS - 1), max_size=30)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), UNIT_LISTS),
        st.tuples(st.just("remove"), UNIT_LISTS),
        st.tuples(st.just("take"), st.floats(0, 30)),
        st.tuples(st.just("clear"), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(ACTIONS, st.integers(0, 1000), st.integers(1, 4))
def test_whatever_is_put_in_and_taken_out_the_plain_twin_has_the_same(actions, seed, few) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calendar, "FEW", few)  # so that the horizon moves often
        go(actions, np.random.default_rng(seed))


def go(actions, rng) -> None:
    tried, plain, now = Calendar(UNITS), Plain(), 0.0
    for what, how in actions:
        if what == "put":
            folios, away = np.array(how, np.int64), rng.exponential(10, len(how))
            dues = now + np.where(rng.random(len(folios)) < 0.1, NEVER, away)
            tried.put(folios, dues)
            plain.put(folios.tolist(), dues.tolist())
        elif what == "remove":
            tried.remove(np.array(how, np.int64))
            plain.remove(how)
        elif what == "clear":
            tried.clear()
            plain.due.clear()
        else:
            now += how
            touched = tried.take(now)
            assert list(zip(touched.clocks, touched.folios, strict=True)) == plain.take(now)
        assert len(tried) == len(plain.due)
        assert {u: d for u, d in enumerate(tried.due) if d < NEVER} == plain.due


@pytest.mark.parametrize("steps", [1, 7, 500])
def test_many_folios_come_out_sorted_though_the_horizon_moves_past_few_at_a_time(steps) -> None:
    rng = np.random.default_rng(3)
    count = 200_000
    tried = Calendar(count)
    dues = rng.exponential(size=count)
    for folios in np.array_split(rng.permutation(count), 9):
        tried.put(folios, dues[folios])
    early = np.flatnonzero(rng.random(count) < 0.2)
    tried.remove(early)
    dues[early] = NEVER
    taken, again = [], 0
    for step in range(1, steps + 1):
        end = dues[dues < NEVER].max() * step / steps
        touched = tried.take(end)
        taken.append(touched.clocks)
        assert (dues[touched.folios] == touched.clocks).all()
        if step < steps and again < 100:  # some come in anew, before the horizon or behind it
            fresh = touched.folios[:50]
            dues[fresh] = end + rng.exponential(size=len(fresh)) / 10
            dues[fresh] = np.minimum(dues[fresh], dues[dues < NEVER].max())
            tried.put(fresh, dues[fresh])
            again += 1
    clocks = np.concatenate(taken)
    assert (np.diff(clocks) >= 0).all()
    assert len(clocks) >= count - len(early)
    assert len(tried) == 0


def test_folios_that_go_in_and_out_for_ever_take_no_more_room() -> None:
    rng = np.random.default_rng(3)
    tried = Calendar(1000)
    for now in range(1000):
        tried.put(np.arange(1000), now + rng.exponential(size=1000) * 100)
        tried.remove(np.arange(1000))
        tried.take(now)
    assert len(tried._far[0]) < 20_000
    assert len(tried) == 0


def test_a_folio_that_comes_back_is_due_at_its_new_clock_only() -> None:
    tried = Calendar(2)
    for due in (3.0, 5.0, 4.0):  # each leaves its entry behind, in the heap too
        tried.remove(np.array([1]))
        tried.put(np.array([1, 0]), np.array([due, 2.0]))
        tried.take(1.0 + due / 10)
    assert tried.take(3.5).folios.tolist() == [0]
    assert [column.tolist() for column in tried.take(9.0)] == [[1], [4.0]]
    assert len(tried) == 0
