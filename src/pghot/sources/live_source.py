"""What a live source of accesses does, whichever it is."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pghot.driving.run_state import SourceCounts
from pghot.linux.perf.arrays import TaskColumns
from pghot.linux.processes.targets import Targets

EXTERNAL = "external"
"""What `--source` calls a socket that others write to, before its path (`sources.external`)."""

NO_TASKS = TaskColumns(
    time_ns=np.zeros(0, np.uint64),
    kind=np.zeros(0, np.uint8),
    pid=np.zeros(0, np.int32),
    ppid=np.zeros(0, np.int32),
    tid=np.zeros(0, np.int32),
)


class Samples(NamedTuple):
    """Accesses, one item each, in time order within one drain.

    `time_ns` is CLOCK_MONOTONIC; `pfn` counts the machine's own pages and `nid` is the
    node of the CPU, -1 unknown.  `write` is False where the source cannot tell.  `nr` is how
    many accesses each stands for; None: one.
    """

    time_ns: npt.NDArray[np.uint64]
    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]
    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    cpu: npt.NDArray[np.int32]
    write: npt.NDArray[np.bool_]
    nr: npt.NDArray[np.uint32] | None = None


class LiveSource(Protocol):
    """A source of accesses: opened stopped, then enabled, and drained at any time.

    A class that inherits from it needs `name`, `counts` and `drain`; all else does nothing
    until it says otherwise.
    """

    name: str
    """What its figures are called; `hintfault` or `hwhint` unless `reports_as` says otherwise."""

    counts: SourceCounts

    counted: bool = False
    """Whether its samples stand for several accesses each (`Samples.nr`)."""

    @property
    def reports_as(self) -> str:
        """Its accesses' source in an access log and in the engine: a key of `schema.SOURCES`."""
        return self.name

    @property
    def rest_us(self) -> int | None:
        """Microseconds after which to drain it though no descriptor is readable; None: any."""
        return None

    def watch(self, targets: Targets) -> None:
        """Take in whose accesses are wanted, before it is enabled."""
        del targets

    @property
    def notes(self) -> list[str]:
        """What a person should know, a line each; it grows, and no line comes twice."""
        return []

    @property
    def descriptors(self) -> list[int]:
        """Files for poll(2): readable when there is much to drain."""
        return []

    def enable(self) -> None:
        """Start."""

    def disable(self) -> None:
        """Stop; what was seen until now can still be drained."""

    def drain(self) -> Samples:
        """The accesses since the last drain; arrays that stay good."""
        ...

    def take_tasks(self) -> TaskColumns:
        """What became of tasks up to the last drain, once, in time order.

        Empty unless the source was opened with `follow`.
        """
        return NO_TASKS

    def follow_cpus(self) -> bool:
        """See to CPUs that came or went; whether any did."""
        return False

    def close(self) -> None:
        """Close what was opened."""
