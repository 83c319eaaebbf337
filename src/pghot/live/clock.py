"""The real clock of a live run: when kmigrated wakes, and waiting until then."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.follower import Follower
    from pghot.live.session import Session

NS_PER_US = 1000
SETTLE_US = 2000
"""How long after an instant its rows are taken: a sample is in its ring by then."""


class Clock:
    """Microseconds since the start, on CLOCK_MONOTONIC as the sources' samples are."""

    def __init__(self) -> None:
        self.start_ns = self.now_ns()

    def start(self) -> None:
        """Let it be 0 microseconds now."""
        self.start_ns = self.now_ns()

    def now_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds."""
        return time.monotonic_ns()

    def now_us(self) -> int:
        """The microseconds since the start."""
        return (self.now_ns() - self.start_ns) // NS_PER_US

    def wait_until(self, us: int, descriptors: Sequence[int]) -> bool:
        """Wait until then, or until a ring is half full: say whether it is time."""
        left_us = us - self.now_us()
        if left_us <= 0:
            return True
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        poll.poll(left_us / 1000)
        return self.now_us() >= us

    def beside(self, follower: Follower, session: Session) -> AbstractContextManager[None]:
        """Have a follower look, by this clock, as long as the context lasts: in a thread."""
        from pghot.live.beside_thread import in_thread  # noqa: PLC0415 - virtual time has none

        return in_thread(follower, session, self.now_us)
