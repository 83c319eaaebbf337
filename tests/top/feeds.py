"""Made-up states, and a feed that gives them in order."""

from __future__ import annotations

import time
from typing import Any

from pghot.engine.errors import TunableError
from pghot.top.published import state_of_run
from pghot.top.state import TopState
from tests.published import published_state


def run_state(second: int, **more: Any) -> TopState:
    """What the view shows of `published_state`."""
    return state_of_run(published_state(second, **more))


class Given:
    """Gives states one by one; writes are judged by one rule and noted."""

    paced = False
    speed = 1.0

    def __init__(self, states: list[TopState], said: str = "") -> None:
        self.states = list(states)
        self.said = said
        self.over = False
        self.written: list[tuple[str, str]] = []

    def next_state(self, timeout_s: float) -> TopState | None:
        if self.states:
            return self.states.pop(0)
        time.sleep(min(timeout_s, 0.01))  # who waits in vain need not wait long
        return None

    def write(self, name: str, text: str) -> None:
        if not text.isdigit():
            raise TunableError(22, f"{name}: {text!r} is no number")
        self.written.append((name, text))

    def hold(self, held: bool) -> None:
        pass

    def step(self) -> None:
        pass

    def set_speed(self, speed: float) -> None:
        self.speed = speed

    def close(self) -> None:
        pass
