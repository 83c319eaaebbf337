"""A run on this host as a feed, through its control socket; the next run when it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pghot.errors import PghotError
from pghot.top.published import state_of_run
from pghot.top.state import State

AGAIN_S = 1.0
"""How often a run is looked for while there is none."""


class Connection(Protocol):
    """A connection to a run (`serving.client.Client`)."""

    def watch(self) -> Iterator[dict[str, Any]]:
        """Give states as they come, until the run is over; PghotError where it was cut off."""

    def set(self, name: str, text: str) -> None:
        """Write a tunable."""

    def close(self) -> None:
        """Hang up; `watch` then ends."""


class SocketFeed:
    """Watches whatever run `connect` finds; it raises PghotError where there is none."""

    paced = False
    over = False
    speed = 1.0

    def __init__(self, connect: Callable[[], Connection], again_s: float = AGAIN_S) -> None:
        self._connect = connect
        self._again_s = again_s
        self._changed = threading.Condition()
        self._fresh: State | None = None
        self._said = ""
        self._closed = threading.Event()
        self._watching: Connection | None = None
        self._thread = threading.Thread(target=self._follow, name="pghot top", daemon=True)
        self._thread.start()

    @property
    def said(self) -> str:
        """Why no state comes; empty while a run is watched."""
        return self._said

    def next_state(self, timeout_s: float) -> State | None:
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
        """Do nothing: a run waits for nobody."""

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
        self._thread.join(2 * self._again_s)

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._watch(self._connect())
                self._said = "the run has ended; waiting for the next"
            except PghotError as error:
                self._said = f"{error}; waiting for a run"
            self._closed.wait(self._again_s)

    def _watch(self, connection: Connection) -> None:
        self._watching = connection
        try:
            for plain in connection.watch():
                state = state_of_run(plain)
                with self._changed:
                    self._fresh, self._said = state, ""
                    self._changed.notify_all()
        finally:
            self._watching = None
            connection.close()
