"""Virtual time held to a clock: a replay or a simulation at a chosen speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from math import inf
from typing import Any

from pghot.live.mailbox import Mailbox
from pghot.top.state import TopState

LOOK_S = 0.05
"""How long a key or a write waits at the most while time is waited for."""

BEHIND_S = 1.0
"""Work that is so far behind the clock is not made up for: it just is as fast as it goes."""


class Stopped(BaseException):
    """The view has gone, or what was asked for is there: unwinds the thread of the work.

    Not an Exception, as nothing on the way is to take it for an error.
    """


class ReplayPacer:
    """Holds the thread of the work until its time has come, and publishes states meanwhile.

    `speed` is virtual seconds a second, 0 for no waiting; a state comes every `period_s`
    real seconds.  `until_s` ends the work there, with one state and no other; `before` is
    the one `period_s` earlier.
    """

    def __init__(
        self,
        mailbox: Mailbox[TopState],
        speed: float = 1.0,
        period_s: float = 1.0,
        until_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._speed = speed
        self._period_s = period_s
        self._until_s = until_s
        self._clock = clock
        self._woken = threading.Event()
        self._sleep = sleep or self._woken.wait
        self._closed = False
        self._held = False
        self._stepping = False
        self._allowed_s = 0.0
        self.now_s = 0.0
        """The virtual time by now."""
        self.before: TopState | None = None
        self._anchor = (clock(), 0.0)
        self._due = -inf

    # For the view.

    @property
    def speed(self) -> float:
        """The speed as it is."""
        return self._speed

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""
        self._speed = speed
        self._anchor = (self._clock(), self.now_s)
        self._woken.set()

    def hold(self, held: bool) -> None:
        """Stop virtual time, or let it go on from where it is."""
        self._held = held
        self._allowed_s = self.now_s
        self._stepping = False
        self._anchor = (self._clock(), self.now_s)
        self._woken.set()

    def step(self) -> None:
        """Let a stopped time go on as far as the next state would be."""
        self._allowed_s = self.now_s + self._period_s * (self._speed or 1.0)
        self._stepping = True
        self._woken.set()

    def close(self) -> None:
        """End the work at its next instant."""
        self._closed = True
        self._woken.set()

    # For the thread of the work.

    def reach(
        self, time_s: float, show: Callable[[float], TopState], write: Callable[[str, str], None]
    ) -> None:
        """Wait until `time_s` has come; `show` gives the state as of a time up to that.

        Raises `Stopped` where the view has gone, or `until_s` is reached.
        """
        if self._until_s is not None:
            self._reach_until(time_s, self._until_s, show)
            return
        while True:
            if self._closed:
                raise Stopped
            self._woken.clear()
            self._mailbox.attend(write)
            self._move_to(time_s)
            if self._is_due():
                self._publish(show(self.now_s))
            if self.now_s >= time_s:
                return
            self._sleep(self._wait(time_s))

    def _reach_until(
        self, time_s: float, until_s: float, show: Callable[[float], TopState]
    ) -> None:
        """Go on as fast as can be; stop where time would pass `until_s`."""
        if self._closed:
            raise Stopped
        earlier_s = until_s - self._period_s
        if self.before is None and earlier_s >= 0 and time_s > earlier_s:
            self.before = show(earlier_s)
        if time_s > until_s:
            self._publish(show(until_s))
            raise Stopped
        self.now_s = time_s

    def _move_to(self, time_s: float) -> None:
        """Take virtual time on, as far as the clock allows and no further than `time_s`."""
        if self._held:
            self.now_s = max(self.now_s, min(self._allowed_s, time_s))
            return
        real, virtual = self._anchor
        if not self._speed:
            self.now_s = time_s
            return
        may = virtual + (self._clock() - real) * self._speed
        self.now_s = max(self.now_s, min(may, time_s))
        if may - time_s > BEHIND_S * self._speed:
            self._anchor = (self._clock(), time_s)

    def _is_due(self) -> bool:
        if not self._held:
            return self._clock() >= self._due
        arrived = self._stepping and self.now_s >= self._allowed_s
        self._stepping = self._stepping and not arrived
        return arrived

    def _wait(self, time_s: float) -> float:
        if self._held:
            return LOOK_S
        speed = self._speed  # the view's thread may change it meanwhile, to none at all
        return min((time_s - self.now_s) / speed, LOOK_S) if speed else 0.0

    def _publish(self, state: TopState) -> None:
        self._due = self._clock() + self._period_s
        self._mailbox.publish(state)
