"""A run on this host as a feed, through its control socket; the next run when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from pghot.driving.run_state import RunState
from pghot.errors import PghotError
from pghot.top.published import state_of_run
from pghot.top.rates import same_run
from pghot.top.state import TopState

AGAIN_S = 1.0
"""How often a run is looked for while there is none."""

CLOSE_S = 2.0
"""How long `close` waits for the thread, which may be within a call to the run."""

EARLY_S = 0.5
"""How much sooner than its period a state may come."""


class Connection(Protocol):
    """A connection to a run (`serving.client.Client`)."""

    def watch(self) -> Iterator[RunState]:
        """States as they come, until the run is over; PghotError where it was cut off."""

    def set(self, name: str, text: str) -> None:
        """Write a tunable."""

    def close(self) -> None:
        """Hang up; `watch` then ends."""


class SocketFeed:
    """Watches whatever run `connect` finds; it raises PghotError where there is none.

    States that come sooner than `period_s` after the one before are left out, but for those
    that show something else than counts.
    """

    paced = False
    over = False
    speed = 1.0

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        period_s: float = 1.0,
        again_s: float = AGAIN_S,
    ) -> None:
        self._connect = connect
        self._period_s = period_s
        self._again_s = again_s
        self._last: TopState | None = None
        self._changed = threading.Condition()
        self._fresh: TopState | None = None
        self._said = ""
        self._closed = threading.Event()
        self._watching: Connection | None = None
        self._thread = threading.Thread(target=self._follow, name="pghot top", daemon=True)
        self._thread.start()

    @property
    def said(self) -> str:
        """Why no state comes; empty while a run is watched."""
        return self._said

    def next_state(self, timeout_s: float) -> TopState | None:
        """Wait for a state that was not given yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh is not None, timeout_s)
            state, self._fresh = self._fresh, None
            return state

    def write(self, name: str, text: str) -> None:
        """Write a tunable of the run, through a connection of its own."""
        connection = self._connect()
        try:
            connection.set(name, text)
        finally:
            connection.close()

    def hold(self, held: bool) -> None:
        """Does nothing: a live run cannot be paused."""

    def step(self) -> None:
        """Do nothing."""

    def set_speed(self, speed: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        watching = self._watching
        if watching is not None:
            watching.close()
        self._thread.join(CLOSE_S)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._watch(self._connect())
            except PghotError as error:
                if self._last is None:
                    self._said = f"{error}; waiting for a run"
            self._closed.wait(self._again_s)

    def _watch(self, connection: Connection) -> None:
        self._watching = connection
        try:
            if self._closed.is_set():  # closed while it connected: close() saw no connection
                return
            for state in connection.watch():
                self._said = ""
                self._give(state_of_run(state))
        finally:
            self._watching = None
            connection.close()
            gone = "" if self._last is not None and self._last.ended else "the run has gone; "
            self._said = f"{gone}waiting for the next run"

    def _give(self, state: TopState) -> None:
        last = self._last
        if last is not None and self._too_soon(last, state):
            return
        self._last = state
        with self._changed:
            self._fresh = state
            self._changed.notify_all()

    def _too_soon(self, last: TopState, state: TopState) -> bool:
        if not same_run(last, state) or state.ended or state.tunables != last.tunables:
            return False
        return state.time_s - last.time_s < self._period_s - EARLY_S
