"""What is to happen when, in virtual time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

Happening = Callable[[float], None]
"""Called with the time it was scheduled for."""


class Agenda:
    """Calls by time; those of one time in the order in which they were scheduled."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Happening]] = []
        self._order = itertools.count()

    def at(self, time: float, happening: Happening) -> None:
        """Put something down for a time, in seconds."""
        heapq.heappush(self._heap, (time, next(self._order), happening))

    @property
    def next(self) -> float:
        """Time of the first; infinity where there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def run(self, now: float) -> None:
        """Have everything happen that is due at `now`."""
        while self._heap and self._heap[0][0] <= now:
            time, _, happening = heapq.heappop(self._heap)
            happening(time)
