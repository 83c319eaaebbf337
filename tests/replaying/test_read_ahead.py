"""A log is read ahead on a thread: the same rows and errors, in the same places."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing, suppress

import pytest

from pghot.replaying import read_ahead
from pghot.replaying.read_ahead import AHEAD, ahead

both = pytest.mark.parametrize("cpus", [{0}, {0, 1}], ids=["one CPU", "two CPUs"])


@pytest.fixture(autouse=True)
def of_cpus(cpus: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cpus)


@both
@pytest.mark.parametrize("count", [0, 1, AHEAD, 50])
def test_items_come_in_order_and_all(count):
    assert list(ahead(range(count))) == list(range(count))


@both
def test_what_making_an_item_raises_comes_after_the_items_before_it():
    def items():
        yield from range(5)
        raise ValueError("row 5")

    taken = ahead(items())
    assert [next(taken) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="row 5"):
        next(taken)


@pytest.mark.parametrize("cpus", [{0, 1}])
@pytest.mark.parametrize("step", range(60))
def test_a_signal_that_raises_after_any_step_hangs_nothing(step):
    """Where a call of C has returned: in it, or in what it waits with."""
    left = iter(range(step))
    waiting = ("Condition.", "Event.", "Semaphore.")

    def at_a_step(frame, event, _what):
        code = frame.f_code
        own = code.co_filename == read_ahead.__file__
        counts = event == "c_return" and (own or code.co_qualname.startswith(waiting))
        if counts and next(left, None) is None:
            sys.setprofile(None)
            raise SystemExit

    def reading():
        with suppress(SystemExit):
            sys.setprofile(at_a_step)
            list(ahead(iter(range(6))))
        sys.setprofile(None)

    reader = threading.Thread(target=reading, daemon=True)
    reader.start()
    reader.join(90)
    assert not reader.is_alive()


@pytest.mark.parametrize("cpus", [{0, 1}])
def test_no_more_is_made_than_a_few_items_ahead():
    made, room = [], threading.Event()

    def items():
        for number in range(50):
            made.append(number)
            if number == AHEAD:
                room.set()
            yield number

    with closing(ahead(items())) as taken:
        assert next(taken) == 0
        assert room.wait(90)
        taken.close()
    assert len(made) <= 1 + AHEAD + 1


@pytest.mark.parametrize("cpus", [{0, 1}])
def test_closing_ends_the_thread_and_lets_go_of_what_it_reads():
    closed = threading.Event()

    def items():
        try:
            yield from range(1000)
        finally:
            closed.set()

    before = threading.active_count()
    with closing(ahead(items())) as taken:
        assert next(taken) == 0
    assert threading.active_count() == before
    assert closed.is_set()


@pytest.mark.parametrize("cpus", [{0, 1}])
def test_where_no_thread_can_be_had_items_are_made_as_they_are_asked_for(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    made = []

    def items():
        for number in range(3):
            made.append(number)
            yield number

    taken = ahead(items())
    assert next(taken) == 0
    assert made == [0]
    assert list(taken) == [1, 2]
