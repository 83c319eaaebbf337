"""Who is told of a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable

from pghot.live.desk import Desk
from pghot.live.result import LiveResult
from pghot.live.state import States


class Told:
    """`status` is told each second, and a desk where there is one.

    `result` makes the result as of so many microseconds after the start.
    """

    def __init__(
        self, result: Callable[[int], LiveResult], status: Callable[[LiveResult], None]
    ) -> None:
        self._result = result
        self._status = status
        self._desk: Desk | None = None

    def to(
        self,
        desk: Desk,
        states: States,
        write: Callable[[str, str], None],
        now_us: Callable[[], int],
    ) -> None:
        """Publish to a desk as well, from now on, and do the writes that come there."""
        self._desk, self._states = desk, states
        self._tunable, self._now_us = write, now_us
        self.publish(self._result(0))

    def second(self, us: int) -> None:
        """Publish the state, `us` after the start."""
        result = self._result(us)
        self._status(result)
        self.publish(result)
        if self._desk is not None:
            self._states.second()

    def attend(self) -> None:
        """Do what waits at the desk."""
        if self._desk is not None:
            self._desk.attend(self._write)

    def publish(self, result: LiveResult) -> None:
        """Let the desk have a result's state."""
        if self._desk is not None:
            self._desk.publish(self._states.of(result))

    def _write(self, name: str, text: str) -> None:
        """Write a tunable; who reads it next finds what was written."""
        self._tunable(name, text)
        self.publish(self._result(self._now_us()))
