"""The arrays into which perf rings are drained; they grow where a drain needs more room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class SampleColumns(NamedTuple):
    """Samples, one item each: ns on the event's clock, ids, addresses; 0 where not sampled."""

    time_ns: npt.NDArray[np.uint64]
    pid: npt.NDArray[np.int32]
    tid: npt.NDArray[np.int32]
    addr: npt.NDArray[np.uint64]
    phys: npt.NDArray[np.uint64]
    cpu: npt.NDArray[np.int32]
    data_src: npt.NDArray[np.uint64]


class TaskColumns(NamedTuple):
    """What became of tasks, one item an event.

    `kind` is FORK, EXIT or EXEC.  A new thread is a FORK whose `ppid` is its `pid`; an
    EXEC's `ppid` is its `pid` too.
    """

    time_ns: npt.NDArray[np.uint64]
    kind: npt.NDArray[np.uint8]
    pid: npt.NDArray[np.int32]
    ppid: npt.NDArray[np.int32]
    tid: npt.NDArray[np.int32]


EXEC, EXIT, FORK = 3, 4, 7
"""The kinds of task events: PERF_RECORD_COMM (of an exec), _EXIT and _FORK."""

TALLIES = (
    "samples",
    "tasks",
    "lost",
    "lost_samples",
    "throttled",
    "unthrottled",
    "malformed",
    "corrupt",
)
"""What a drain counts, in the order of `Drained.tally`.

The first two are how far the columns are filled; `lost` is records that found the ring
full, `lost_samples` samples that the hardware dropped, `malformed` records too short for
their kind, `corrupt` rings whose records did not add up and were thrown away to their head.
"""

AT_SAMPLES, AT_TASKS = 0, 1


class Drained:
    """Columns with room, how far they are filled, and what was counted."""

    def __init__(self, samples: int = 4096, tasks: int = 64) -> None:
        self.sample_room = SampleColumns(*_room(_SAMPLE_DTYPES, samples))
        self.task_room = TaskColumns(*_room(_TASK_DTYPES, tasks))
        self.tally = np.zeros(len(TALLIES), np.int64)

    @property
    def samples(self) -> SampleColumns:
        """The samples so far: views, good until `reset`."""
        return SampleColumns(*_first(self.sample_room, self.tally[AT_SAMPLES]))

    @property
    def tasks(self) -> TaskColumns:
        """The task events so far: views, good until `reset`."""
        return TaskColumns(*_first(self.task_room, self.tally[AT_TASKS]))

    def copy_tasks(self) -> TaskColumns:
        """The task events in arrays that stay good."""
        return TaskColumns(
            *[column.copy() for column in _first(self.task_room, self.count("tasks"))]
        )

    def count(self, name: str) -> int:
        """One of TALLIES since `reset`."""
        return int(self.tally[TALLIES.index(name)])

    def grow_samples(self) -> None:
        """Double the room for samples."""
        self.sample_room = SampleColumns(*_doubled(self.sample_room))

    def grow_tasks(self) -> None:
        """Double the room for task events."""
        self.task_room = TaskColumns(*_doubled(self.task_room))

    def reset(self) -> None:
        """Start again from nothing, in the same memory."""
        self.tally[:] = 0


_SAMPLE_DTYPES = (np.uint64, np.int32, np.int32, np.uint64, np.uint64, np.int32, np.uint64)
_TASK_DTYPES = (np.uint64, np.uint8, np.int32, np.int32, np.int32)


def _room(dtypes: Iterable[npt.DTypeLike], items: int) -> list[Any]:
    return [np.empty(items, dtype) for dtype in dtypes]


def _first(columns: Iterable[npt.NDArray[Any]], items: int) -> list[Any]:
    return [column[:items] for column in columns]


def _doubled(columns: Iterable[npt.NDArray[Any]]) -> list[Any]:
    return [np.resize(column, max(2 * len(column), 1)) for column in columns]
