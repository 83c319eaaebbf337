"""Regions of memory and the streams of accesses that go to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from pghot.simulated.machine.folios import Folios
from pghot.workloads.log_times import Schedule
from pghot.workloads.stream import Clocks, Stream


class StreamCursor:
    """A stream's cursor: its clock, and what the clock was at earlier times."""

    def __init__(self, name: str, stream: Stream, schedule: Schedule | None = None) -> None:
        self.name = name
        self.stream = stream
        self.schedule = schedule
        """When accesses are due; None where each follows the one before."""
        self.late_s = 0.0
        """The longest that an access came after it was due."""
        self.clock = 0.0
        self.weights: npt.NDArray[np.float64] = stream.weights()
        """Share of each folio in the accesses of the present phase."""
        self._times = np.zeros(1024)
        self._clocks = np.zeros(1024)
        self._rows = 1

    def advanced(self, time: float, clock: float) -> None:
        """Note that the clock stands so at `time`."""
        self.clock = clock
        if self.schedule is not None:
            self.late_s = max(self.late_s, self.schedule.late_s(clock + 1, time))
        if self._rows == len(self._times):
            self._times = np.concatenate([self._times, np.zeros(self._rows)])
            self._clocks = np.concatenate([self._clocks, np.zeros(self._rows)])
        self._times[self._rows] = time
        self._clocks[self._rows] = clock
        self._rows += 1

    def due(self, time: float) -> float:
        """How many accesses are due at a time and not made; infinite without a schedule."""
        return inf if self.schedule is None else max(self.schedule.due(time) - self.clock, 0.0)

    def change(self) -> None:
        """Go into the stream's next phase."""
        self.stream.change(self.clock)
        self.weights = self.stream.weights()

    @property
    def ended(self) -> bool:
        """Whether the stream has no more accesses."""
        return self.clock >= self.stream.end_clock * (1 - 1e-12)

    def clock_at(self, times: npt.NDArray[np.float64]) -> Clocks:
        """What the clock was at earlier times, in seconds."""
        return np.interp(times, self._times[: self._rows], self._clocks[: self._rows])


@dataclass(slots=True)
class FolioRegion:
    """Folios `first .. first + folios - 1` of the machine, of `pages` pages each."""

    name: str
    process: str
    first: int
    folios: int
    pages: int
    shared_executable: bool
    allocated: bool = False
    flows: list[StreamCursor] = field(default_factory=list)

    @property
    def everything(self) -> Folios:
        """All its folios, by their number in the machine."""
        return np.arange(self.first, self.first + self.folios)

    @property
    def rows(self) -> slice:
        """Its folios in arrays of the machine."""
        return slice(self.first, self.first + self.folios)


def seen_since(
    region: FolioRegion, folios: Folios, times: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Which folios of a region were accessed since the time of each."""
    seen = np.zeros(len(folios), np.bool_)
    for flow in region.flows:
        seen |= flow.stream.seen(folios - region.first, flow.clock_at(times), flow.clock)
    return seen
