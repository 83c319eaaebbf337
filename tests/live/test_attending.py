"""What a run looks after beside its wake-ups never ends it, and leaves others' settings alone."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.engine.fault_latency import FaultLatency
from pghot.errors import PghotError
from pghot.linux.guard.settings_guard import Changed
from pghot.linux.pages.pagemap import Mapped
from pghot.live import attending
from pghot.live.attending import FLAT, NOT_FLAT, Followup
from pghot.live.demoted_again import A_CALL, AFTER_US, DemotedAgain
from pghot.live.scan_pace import SIZE

FAST, SLOW = 0, 1


class Guard:
    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []
        self.others: list[Changed] = []
        self.full = False

    def changed_by_others(self) -> list[Changed]:
        return self.others

    def set(self, path: str, value: str) -> None:
        if self.full:
            raise PghotError(f"{path}: no room for the journal")
        self.made.append((path, value))


def set_size(guard: Guard, told: list[str]) -> bool:
    return attending._set(guard, told.append, SIZE, "32")


def test_a_pace_that_cannot_be_set_is_told_and_ends_no_run() -> None:
    guard, told = Guard(), []
    assert set_size(guard, told)
    assert guard.made == [(SIZE, "32")]
    guard.full = True
    assert not set_size(guard, told)
    assert told == [f"{SIZE}: no room for the journal: the pace of the scan stays as it is"]


def test_a_pace_that_somebody_else_has_set_is_left_alone() -> None:
    guard, told = Guard(), []
    guard.others = [Changed(SIZE, "16", "64")]
    assert not set_size(guard, told)
    assert (guard.made, told) == ([], [])


class Machine:
    toptier = np.array([True, False, False])

    def nids_of_host(self, pfns):
        return np.where(pfns < 100, FAST, SLOW)


class Pagemap:
    """Page N of a process is frame N; some have gone."""

    def lookup(self, _pid, vaddrs, _starttime):
        pfns = vaddrs >> np.uint64(12)
        return Mapped(pfns, pfns != 7)


class Targets:
    def starttime(self, _pid):
        return 1


@pytest.fixture
def staying() -> DemotedAgain:
    return DemotedAgain(Machine(), Pagemap(), Targets())


def pages(*numbers: int):
    return np.array(numbers, np.uint64) << np.uint64(12)


def test_promoted_pages_are_looked_at_once_after_a_minute(staying) -> None:
    staying.promoted(0, 40, pages(1, 2, 7, 200))
    assert staying.look(AFTER_US - 1) == (0, 0)
    assert staying.look(AFTER_US) == (3, 1)  # page 7 has gone, page 200 is slow again
    assert staying.look(2 * AFTER_US) == (0, 0)
    assert (staying.looked_at, staying.demoted) == (3, 1)


def test_of_a_large_call_some_pages_stand_for_all(staying) -> None:
    staying.promoted(0, 40, pages(*range(8, 8 + 10 * A_CALL)))
    looked_at, _ = staying.look(AFTER_US)
    assert 0 < looked_at <= A_CALL


class Clock:
    us = 0

    def now_us(self) -> int:
        return self.us


class Stage:
    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def stayed(self, looked_at: int, demoted: int) -> None:
        self.told.append((looked_at, demoted))


def test_what_stayed_goes_to_the_engine_and_that_nothing_can_be_won_to_a_person(staying) -> None:
    clock, sink, told, faults = Clock(), Stage(), [], FaultLatency(1000)
    followup = Followup(clock, sink, staying, told.append)
    staying.promoted(0, 40, pages(1, 200))
    for clock.us, faults.flat in (
        (0, False),
        (AFTER_US, True),
        (AFTER_US, True),
        (AFTER_US, False),
    ):
        followup.look(faults)
    assert sink.told == [(2, 1)]
    assert told == [FLAT, NOT_FLAT]
