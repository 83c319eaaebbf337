"""Who is told of a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable

from pghot.live.mailbox import Mailbox
from pghot.live.result import LiveResult
from pghot.live.state import States


class Publisher:
    """`status` is told each second, and a mailbox where there is one.

    `result` makes the result as of so many microseconds after the start.
    """

    def __init__(
        self, result: Callable[[int], LiveResult], status: Callable[[LiveResult], None]
    ) -> None:
        self._result = result
        self._status = status
        self._mailbox: Mailbox | None = None

    def to(
        self,
        mailbox: Mailbox,
        states: States,
        write: Callable[[str, str], None],
        now_us: Callable[[], int],
    ) -> None:
        """Publish to a mailbox as well, from now on, and do the writes that come there."""
        self._mailbox, self._states = mailbox, states
        self._tunable, self._now_us = write, now_us
        self.publish(self._result(0))

    def second(self, us: int) -> None:
        """Publish the state, `us` after the start."""
        result = self._result(us)
        self._status(result)
        self.publish(result)
        if self._mailbox is not None:
            self._states.second()

    def attend(self) -> None:
        """Do what waits at the mailbox."""
        if self._mailbox is not None:
            self._mailbox.attend(self._write)

    def publish(self, result: LiveResult) -> None:
        """Let the mailbox have a result's state."""
        if self._mailbox is not None:
            self._mailbox.publish(self._states.of(result))

    def _write(self, name: str, text: str) -> None:
        """Write a tunable; who reads it next finds what was written."""
        self._tunable(name, text)
        self.publish(self._result(self._now_us()))
