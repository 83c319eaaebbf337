"""A feed whose work is done here, in a thread of its own, at the pace of a `ReplayPacer`."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from pghot.errors import PghotError
from pghot.live.mailbox import Mailbox
from pghot.top.pacing import ReplayPacer, Stopped
from pghot.top.state import TopState

CLOSE_S = 5.0
"""How long the end waits for the thread: it looks at each instant of its work."""


class VirtualFeed(ABC):
    """A replay or a simulation.  Its engine belongs to its thread; the mailbox is between."""

    paced = True

    def __init__(self, speed: float, period_s: float, until_s: float | None) -> None:
        self._mailbox: Mailbox[TopState] = Mailbox()
        self._given = 0
        self._said = ""
        self._error: BaseException | None = None
        self.pacer = ReplayPacer(self._mailbox, speed, period_s, until_s)
        self._thread = threading.Thread(target=self._run, name="pghot top", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @abstractmethod
    def _work(self) -> TopState:
        """Do the work, `reach` by `reach`, the last state."""

    @property
    def said(self) -> str:
        """What the work waits for, or what ended it where that was an error."""
        return self._said

    @property
    def over(self) -> bool:
        """Whether no state will come any more."""
        return self._mailbox.closed

    @property
    def speed(self) -> float:
        """Virtual seconds a second."""
        return self.pacer.speed

    @property
    def before(self) -> TopState | None:
        """The state before the one at the end that was asked for."""
        return self.pacer.before

    def next_state(self, timeout_s: float) -> TopState | None:
        """Wait for the next state.

        PghotError and its kind where the work could not be done; any other is a bug.
        """
        found = self._mailbox.next_state(self._given, timeout_s)
        if found is None:
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None
        self._given, state = found
        return state

    def write(self, name: str, text: str) -> None:
        """Have the thread write a tunable."""
        self._mailbox.write(name, text)

    def hold(self, held: bool) -> None:
        """Stop virtual time, or let it go on."""
        self.pacer.hold(held)

    def step(self) -> None:
        """Go on to the next state while time is stopped."""
        self.pacer.step()

    def set_speed(self, speed: float) -> None:
        """Go on at another speed."""
        self.pacer.set_speed(speed)

    def close(self) -> None:
        """End the thread at its next instant."""
        self.pacer.close()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            self._mailbox.publish(self._work())
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - whoever waits for a state gets it
            self._error = error
            self._said = str(error) if isinstance(error, (PghotError, ValueError)) else ""
        finally:
            self._mailbox.close()
