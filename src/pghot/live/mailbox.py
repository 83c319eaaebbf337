"""Where other threads meet a run: its state, and writes to its tunables.

The engine belongs to one thread.  Others (a control socket, metrics, a file system) leave
what they want written here and wait; the run's thread does it between two wake-ups.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pghot.errors import PghotError

S = TypeVar("S")

PATIENCE_S = 10.0
"""How long a write waits for the run: it looks several times a second."""


@dataclass(slots=True, eq=False)
class _Request:
    name: str
    text: str
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class Mailbox(Generic[S]):
    """The state as of last second, and the writes that wait."""

    def __init__(self) -> None:
        self._waiting: deque[_Request] = deque()
        self._changed = threading.Condition()
        self._state: S | None = None
        self._number = 0
        self._closed = False

    # For the run's thread.

    def attend(self, write: Callable[[str, str], None]) -> None:
        """Do the writes that wait; what `write` refuses is the asker's to hear."""
        for _ in range(len(self._waiting)):  # those that come meanwhile wait for the next time
            try:
                request = self._waiting.popleft()
            except IndexError:  # taken back
                return
            try:
                write(request.name, request.text)
            except (PghotError, ValueError) as error:
                request.error = error
            except BaseException:
                request.error = PghotError("the run is over")
                raise
            finally:
                request.done.set()

    def publish(self, state: S) -> None:
        """Let everybody have a new state; it must not change any more."""
        with self._changed:
            self._state = state
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        """End the run: writes are refused from now on, and waiting ones return."""
        with self._changed:  # `write` adds nothing once this is done
            self._closed = True
            self._changed.notify_all()
        while self._waiting:
            request = self._waiting.popleft()
            request.error = PghotError("the run is over")
            request.done.set()

    # For everybody else.

    def write(self, name: str, text: str) -> None:
        """Write a tunable as `echo TEXT > FILE` would; TunableError where it is refused."""
        request = _Request(name, text)
        with self._changed:
            if self._closed:
                raise PghotError("the run is over")
            self._waiting.append(request)
        if not request.done.wait(PATIENCE_S) and self._taken_back(request):
            raise PghotError(f"{name}: the run did not answer within {PATIENCE_S:.0f} s")
        if request.error is not None:
            raise request.error

    def _taken_back(self, request: _Request) -> bool:
        """Take a write back that nobody has begun; else wait for it."""
        try:
            self._waiting.remove(request)
        except ValueError:
            request.done.wait()
            return False
        return True

    def state(self) -> S | None:
        """The last state; None before the first."""
        with self._changed:
            return self._state

    def next_state(self, after: int, timeout_s: float) -> tuple[int, S] | None:
        """Wait for a state later than number `after`; None when none came, or the run is over."""
        with self._changed:
            came = self._changed.wait_for(lambda: self._number > after or self._closed, timeout_s)
            if not came or self._state is None or self._number <= after:
                return None
            return self._number, self._state

    @property
    def closed(self) -> bool:
        """Whether the run is over."""
        return self._closed
