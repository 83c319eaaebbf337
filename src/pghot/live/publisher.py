"""Who takes the state of a run while it goes on."""

from __future__ import annotations

from collections.abc import Callable

from pghot.driving.run_state import RunState
from pghot.live.mailbox import Mailbox
from pghot.live.state import States


class Publisher:
    """Gives each state to `status` once a second, and to a mailbox where there is one."""

    def __init__(self, states: States, status: Callable[[RunState], None]) -> None:
        self._states = states
        self._status = status
        self._mailbox: Mailbox[RunState] | None = None

    def to(
        self,
        mailbox: Mailbox[RunState],
        write: Callable[[str, str], None],
        now_us: Callable[[], int],
    ) -> None:
        """Publish to a mailbox as well, from now on, and do the writes that come there."""
        self._mailbox, self._tunable, self._now_us = mailbox, write, now_us
        mailbox.publish(self._states.at(0))

    def second(self, us: int) -> None:
        """Publish the state, `us` after the start."""
        state = self._states.at(us)
        self._status(state)
        self._publish(state)
        self._states.second()

    def attend(self) -> None:
        """Do what waits at the mailbox."""
        if self._mailbox is not None:
            self._mailbox.attend(self._write)

    def end(self, us: int, why: str) -> RunState:
        """Publish the last state, which says why the run ended; that state."""
        state = self._states.at(us, why)
        self._publish(state)
        return state

    def _publish(self, state: RunState) -> None:
        if self._mailbox is not None:
            self._mailbox.publish(state)

    def _write(self, name: str, text: str) -> None:
        """Write a tunable; who reads it next finds what was written."""
        self._tunable(name, text)
        self._publish(self._states.at(self._now_us()))
