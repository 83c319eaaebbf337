"""Accesses by wake-up: rows cut at the instants when kmigrated wakes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.units import USEC_PER_SEC
from pghot.log.schema import Columns

JIFFIES = "jiffies"
"""The column that `with_jiffies` adds; no log has it."""


@dataclass(frozen=True, slots=True)
class WakeUpRows:
    """Rows that are recorded before the wake-up at `instant` (microseconds).

    They are the rows `which` of `chunk`, a log's columns.
    """

    instant: int
    chunk: Columns
    which: slice
    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    source: npt.NDArray[np.int8]
    jiffies: npt.NDArray[np.uint64]
    latency_us: npt.NDArray[np.int32] | None = None
    nr: npt.NDArray[np.uint32] | None = None

    @property
    def columns(self) -> Columns:
        """All columns of these rows."""
        return {name: column[self.which] for name, column in self.chunk.items()}


def jiffies_of(time_us: npt.NDArray[np.uint64], hz: int) -> npt.NDArray[np.uint64]:
    """floor(time_us * hz / 1,000,000), also where that product has over 64 bits."""
    second = np.uint64(USEC_PER_SEC)
    rate = np.uint64(hz)
    if USEC_PER_SEC % hz == 0:
        return time_us // np.uint64(USEC_PER_SEC // hz)
    return time_us // second * rate + time_us % second * rate // second


def all_of(instant: int, columns: Columns, hz: int) -> WakeUpRows:
    """All rows of `columns`, as those of one wake-up."""
    return WakeUpRows(
        instant,
        columns,
        slice(None),
        columns["pfn"],
        columns["nid"],
        columns["source"],
        jiffies_of(columns["time_us"], hz),
        columns.get("latency_us"),
        columns.get("nr"),
    )


def with_jiffies(chunks: Iterable[Columns], hz: int) -> Iterator[Columns]:
    """Rows as they come, with one more column: the jiffies of their times."""
    for columns in chunks:
        yield columns | {JIFFIES: jiffies_of(columns["time_us"], hz)}


def cut(chunks: Iterable[Columns], step_us: int) -> Iterator[WakeUpRows]:
    """Cut rows of `with_jiffies` at the multiples of `step_us`, from 1 on.

    A row at an instant is recorded before that instant's wake-up (R9.3).  The rows of
    one instant may come in several pieces.
    """
    for columns in chunks:
        time = columns["time_us"]
        if not len(time):
            continue
        jiffies = columns[JIFFIES]
        latency_us, nr = columns.get("latency_us"), columns.get("nr")
        at = 0
        while at < len(time):
            instant = max(-(-int(time[at]) // step_us), 1) * step_us
            end = len(time)
            if int(time[-1]) > instant:
                end = int(np.searchsorted(time, np.uint64(instant), side="right"))
            rows = slice(at, end)
            yield WakeUpRows(
                instant,
                columns,
                rows,
                columns["pfn"][rows],
                columns["nid"][rows],
                columns["source"][rows],
                jiffies[rows],
                None if latency_us is None else latency_us[rows],
                None if nr is None else nr[rows],
            )
            at = end
