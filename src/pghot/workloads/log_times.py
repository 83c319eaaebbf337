"""When the rows of a log are due: the clock of a stream by the log's own time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError

Floats = npt.NDArray[np.float64]

STEP_US = 1000
"""Width of the first bins: the times of rows are kept to this, or coarser for a long log."""

BINS = 1 << 20
"""Bins at the most; they are made twice as wide when there would be more."""

_SECOND = 1e6


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rows by time: `clocks` (the number of rows) at `times` in seconds, both rising from 0.

    Between two times rows come evenly.
    """

    times: Floats
    clocks: Floats

    def due(self, seconds: float) -> float:
        """The clock that a stream has at a time where nothing holds it up."""
        return float(np.interp(seconds, self.times, self.clocks))

    def late_s(self, clock: float, seconds: float) -> float:
        """How late a stream is that has come to `clock` at a time."""
        return max(seconds - float(np.interp(clock, self.clocks, self.times)), 0.0)


def read_schedule(path: Path | str) -> Schedule:
    """Read when each row of a log is; the first is at 0.  InputError where time goes back."""
    from pghot.log.read import open_log  # noqa: PLC0415 - few workloads are logs

    bins = _Bins()
    with open_log(path) as log:
        for chunk in log.chunks(("time_us",)):
            bins.add(Path(path), chunk.columns["time_us"], chunk.first_row)
    return bins.schedule()


class _Bins:
    """Rows by bins of equal width."""

    def __init__(self) -> None:
        self._width = STEP_US
        self._counts: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._first: int | None = None
        self._last = 0

    def add(self, path: Path, time_us: npt.NDArray[np.uint64], first_row: int) -> None:
        """Count rows."""
        if not len(time_us):
            return
        if self._first is None:
            self._first = self._last = int(time_us[0])
        falls = np.flatnonzero(time_us[1:] < time_us[:-1])
        if int(time_us[0]) < self._last or len(falls):
            row = first_row + (int(falls[0]) + 1 if len(falls) else 0)
            raise InputError(f"{path}: row {row}, column time_us: time goes backwards")
        self._last = int(time_us[-1])
        while (self._last - self._first) // self._width >= BINS:
            self._widen()
        bins = ((time_us - np.uint64(self._first)) // np.uint64(self._width)).astype(np.int64)
        counts = np.bincount(bins, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def schedule(self) -> Schedule:
        """The clock at the end of each bin; the last ends with the last row."""
        ends = np.arange(len(self._counts) + 1, dtype=np.float64) * self._width / _SECOND
        if len(ends) > 1:
            span = (self._last - (self._first or 0)) / _SECOND
            ends[-1] = max(span, np.nextafter(ends[-2], 1e18))
        return Schedule(ends, np.append(0, np.cumsum(self._counts)).astype(np.float64))

    def _widen(self) -> None:
        odd = len(self._counts) % 2
        self._counts = np.append(self._counts, np.zeros(odd, np.int64)).reshape(-1, 2).sum(axis=1)
        self._width *= 2
