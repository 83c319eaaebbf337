"""Perf samples as accesses: what every source that reads perf rings does with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pghot.driving.run_state import SourceCounts
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import NO_NODE, nodes_of_cpus
from pghot.linux.perf.arrays import Drained, SampleColumns, TaskColumns
from pghot.linux.perf.attr import Flag
from pghot.linux.perf.event_opener import EVERY_PROCESS
from pghot.linux.perf.event_rings import EventRings, Wanted
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.sources.live_source import NO_TASKS, LiveSource, Samples
from pghot.sources.user_samples import SampleMarks, take_samples

Filter = Callable[[SampleColumns], npt.NDArray[np.bool_]]

_FOLLOW = Flag.TASK | Flag.COMM | Flag.COMM_EXEC
_NONE = np.zeros(0, np.bool_)


class PerfSource(LiveSource):
    """Accesses from the rings of some events; see `live_source.LiveSource`."""

    def __init__(
        self,
        name: str,
        host: Host,
        wanted: Sequence[Wanted],
        *,
        pid: int = EVERY_PROCESS,
        pages: int = RING_PAGES,
        follow: bool = False,
        is_access: Filter | None = None,
        is_write: Filter | None = None,
    ) -> None:
        """Open the events, stopped.  PghotError where the host refuses.

        `pid` is one process, or all; `pages` the size of each ring.  `follow` asks for
        forks, execs and exits too.  `is_access` drops samples that are none.
        """
        self.name = name
        self.counts = SourceCounts()
        self._host = host
        self._is_access = is_access
        self._is_write = is_write
        self._page_shift = np.uint64(host.sysconf("SC_PAGE_SIZE").bit_length() - 1)
        self._drained = Drained()
        self._tasks: list[TaskColumns] = []
        if follow:
            wanted = [_following(one) for one in wanted]
        self._rings = EventRings(host, wanted, pid, pages)
        self._nodes = nodes_of_cpus(host)

    @property
    def notes(self) -> list[str]:
        """What a person should know: CPUs that were refused, rings that shrank."""
        return self._rings.notes

    @property
    def descriptors(self) -> list[int]:
        """The events, for poll(2)."""
        return self._rings.descriptors

    def enable(self) -> None:
        """Start sampling."""
        self._rings.enable()

    def disable(self) -> None:
        """Stop sampling."""
        self._rings.disable()

    def drain(self) -> Samples:
        """The accesses that the rings hold, in time order; arrays of their own."""
        drained = self._drained
        drained.reset()
        self._rings.drain(drained)
        self._count(drained)
        if drained.count("tasks"):
            self._tasks.append(drained.copy_tasks())
        return self._samples(drained.samples)

    def take_tasks(self) -> TaskColumns:
        """The task events of the drains since the last call, in time order."""
        pieces, self._tasks = self._tasks, []
        if not pieces:
            return NO_TASKS
        columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return TaskColumns(*(column[order] for column in columns))

    def follow_cpus(self) -> bool:
        """Open CPUs that came online and close those that went; whether any did.

        Drain first: what the ring of a CPU that went still held is gone.
        """
        changed = self._rings.follow_cpus()
        if changed:
            self._nodes = nodes_of_cpus(self._host)
        return changed

    def close(self) -> None:
        """Close all events."""
        self._rings.close()

    def _count(self, drained: Drained) -> None:
        counts = self.counts
        counts.seen += drained.count("samples")
        counts.lost += drained.count("lost") + drained.count("lost_samples")
        counts.throttled += drained.count("throttled")
        counts.corrupt += drained.count("corrupt") + drained.count("malformed")

    def _samples(self, raw: SampleColumns) -> Samples:
        """Drop what is no access of a process to a known page, and count it."""
        marks = SampleMarks(
            in_time_order(raw.time_ns),
            self._is_access(raw) if self._is_access else _NONE,
            self._is_write(raw) if self._is_write else _NONE,
        )
        taken = take_samples(raw, marks, self._nodes, int(self._page_shift))
        self.counts.kernel += taken.kernel
        self.counts.not_memory += taken.not_memory
        self.counts.unresolved += taken.unresolved
        return taken.samples

    def _nid(self, cpu: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]:
        known = (cpu >= 0) & (cpu < len(self._nodes))
        nodes: npt.NDArray[np.int16] = self._nodes[np.where(known, cpu, 0)]
        return np.where(known, nodes, np.int16(NO_NODE)).astype(np.int16)


def in_time_order(time_ns: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """The rows of samples by time, those of one time as they are.

    They come ring after ring, each in order or nearly so: a merge of few runs.
    """
    return np.argsort(time_ns, kind="stable")


def _following(wanted: Wanted) -> Wanted:
    """Ask the event that samples first on each CPU for task records too: once is enough."""
    first, *rest = wanted.groups
    sampling = next(place for place, event in enumerate(first) if event.sample_period)
    events = list(first)
    events[sampling] = replace(events[sampling], flags=events[sampling].flags | _FOLLOW)
    return Wanted([events, *rest], wanted.cpus)
