"""Virtual time held to a clock, which here is virtual too."""

from __future__ import annotations

import threading
import time

import pytest

from pghot.live.mailbox import Mailbox
from pghot.top.pacing import ReplayPacer, Stopped
from pghot.top.state import TopState


class Clock:
    """Goes on only while somebody sleeps; `at` has things done on the way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: list[tuple[float, object]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 1e-3)
        while self.at and self.at[0][0] <= self.now:
            self.at.pop(0)[1]()


class Listener(Mailbox):
    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def publish(self, state: TopState) -> None:
        self.times.append(round(state.time_s, 3))
        super().publish(state)


class Rig:
    def __init__(self, **options: float) -> None:
        self.clock, self.mailbox = Clock(), Listener()
        self.pacer = ReplayPacer(self.mailbox, clock=self.clock, sleep=self.clock.sleep, **options)
        self.written: list[tuple[str, str]] = []

    def reach(self, time_s: float) -> None:
        self.pacer.reach(
            time_s,
            lambda now: TopState("replay", "log", now),
            lambda *pair: self.written.append(pair),
        )


def test_work_waits_until_its_time_has_come() -> None:
    rig = Rig(speed=2.0)
    rig.reach(10.0)
    assert rig.clock.now == pytest.approx(5.0, abs=0.1)


def test_a_state_comes_every_period_though_nothing_happens_meanwhile() -> None:
    rig = Rig(speed=10.0, period_s=1.0)
    rig.reach(35.0)
    assert rig.mailbox.times == pytest.approx([0, 10, 20, 30], abs=1)


def test_speed_0_waits_for_nothing() -> None:
    rig = Rig(speed=0.0)
    rig.reach(1e6)
    assert rig.clock.now == 0


def test_speed_0_that_comes_while_a_state_is_made_waits_for_nothing() -> None:
    rig = Rig(speed=1.0)

    def show(now: float) -> TopState:
        rig.pacer.set_speed(0)
        return TopState("replay", "log", now)

    rig.pacer.reach(5.0, show, lambda *_: None)
    assert rig.clock.now < 1


def test_another_speed_holds_from_where_time_is() -> None:
    rig = Rig(speed=1.0)
    rig.reach(2.0)
    rig.pacer.set_speed(8.0)
    rig.reach(10.0)
    assert rig.clock.now == pytest.approx(3.0, abs=0.1)


def test_time_that_is_held_stands_still_and_a_step_goes_as_far_as_a_state() -> None:
    rig = Rig(speed=1.0, period_s=1.0)
    rig.reach(2.0)
    rig.pacer.hold(True)
    states = len(rig.mailbox.times)
    rig.clock.at = [(50.0, rig.pacer.step), (100.0, lambda: rig.pacer.hold(False))]
    rig.reach(4.0)
    assert rig.clock.now == pytest.approx(101.0, abs=0.2)
    assert rig.mailbox.times[states] == 3.0  # the step's; later ones are of time going on


def test_work_that_is_far_behind_is_not_made_up_for() -> None:
    rig = Rig(speed=1.0)
    rig.reach(1.0)
    rig.clock.now = 60.0
    rig.reach(2.0)
    rig.reach(3.0)
    assert rig.clock.now == pytest.approx(61.0, abs=0.1)


def test_writes_are_done_while_time_is_waited_for() -> None:
    rig = Rig(speed=1.0)
    rig.reach(1.0)
    other = threading.Thread(target=rig.mailbox.write, args=("freq_threshold", "1"))
    other.start()
    while not rig.mailbox._waiting:
        time.sleep(0.001)
    rig.reach(2.0)
    other.join(90)
    assert rig.written == [("freq_threshold", "1")]


def test_work_ends_at_the_time_asked_for_with_that_state_alone() -> None:
    rig = Rig(speed=0.0, period_s=1.0, until_s=5.0)
    for time_s in range(6):
        rig.reach(float(time_s))
    with pytest.raises(Stopped):
        rig.reach(6.0)
    assert rig.mailbox.times == [5.0]
    assert rig.pacer.before is not None
    assert rig.pacer.before.time_s == 4.0


def test_a_view_that_has_gone_ends_the_work() -> None:
    rig = Rig(speed=1.0)
    rig.pacer.close()
    with pytest.raises(Stopped):
        rig.reach(1.0)
