"""Where states come from, and where writes to tunables go."""

from __future__ import annotations

from typing import Protocol

from pghot.top.state import TopState


class Feed(Protocol):
    """A run, a replay or a simulation, seen from the view.  Any thread may call in."""

    paced: bool
    """Whether its time is ours: it can be held up, and go faster or slower."""

    @property
    def said(self) -> str:
        """What a person should know of the feed itself, in a line; empty where all is well."""

    @property
    def over(self) -> bool:
        """Whether no state will come any more."""

    @property
    def speed(self) -> float:
        """Seconds of the run's own time a second; 0 for as fast as it goes."""

    def next_state(self, timeout_s: float) -> TopState | None:
        """Wait for a state that was not given yet; None where none came in time."""

    def write(self, name: str, text: str) -> None:
        """Write a tunable as `echo TEXT > FILE` would.

        TunableError where it is refused, PghotError where it cannot be asked for.
        """

    def hold(self, held: bool) -> None:
        """Stop its time, or let it go on; nothing where it is not paced."""

    def step(self) -> None:
        """Go on to the next state while its time is stopped."""

    def set_speed(self, speed: float) -> None:
        """Choose the speed; nothing where it is not paced."""

    def close(self) -> None:
        """Let go of it; a thread of its own ends."""
