"""When the kernel's scan for hint faults made which addresses prot_none.

change_prot_numa(vma, start, end) (mm/mempolicy.c) is called by the task whose memory it is,
for each range of a step of the scan (kernel/sched/fair.c, task_numa_work()).  A probe at its
entry tells the time, the process and the range, a few times a second for each process; one at its
return, how many pages it made prot_none: those that were not yet, and not in the top tier.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf import kprobe
from pghot.linux.perf.arrays import Drained, SampleColumns
from pghot.linux.perf.event_rings import EventRings, Wanted
from pghot.linux.perf.ring_size import ring_pages

FUNCTION = "change_prot_numa"
RING_BYTES = 4 << 12
"""Bytes of a ring: a few ranges a second."""


class Ranges(NamedTuple):
    """Ranges of addresses, in time order: ns of CLOCK_MONOTONIC, task, process, bytes."""

    time_ns: npt.NDArray[np.uint64]
    tid: npt.NDArray[np.int32]
    pid: npt.NDArray[np.int32]
    start: npt.NDArray[np.uint64]
    end: npt.NDArray[np.uint64]


class Ends(NamedTuple):
    """When a task of a process came to the end of its range, and the pages that it changed."""

    time_ns: npt.NDArray[np.uint64]
    tid: npt.NDArray[np.int32]
    pid: npt.NDArray[np.int32]
    pages: npt.NDArray[np.uint64]


class ProtNone:
    """Probes on every CPU, opened stopped; PghotError, one line, where there can be none."""

    def __init__(self, host: Host) -> None:
        self._probes = [kprobe.at_entry(host, FUNCTION, 1, 2), kprobe.at_return(host, FUNCTION)]
        self.lost = 0
        """Ranges and ends that found a ring full."""
        self._rings: list[EventRings] = []
        pages = ring_pages(host.sysconf("SC_PAGE_SIZE"), RING_BYTES)
        try:
            for probe in self._probes:
                wanted = Wanted([[probe.event]], layout=probe.layout)
                self._rings.append(EventRings(host, [wanted], pages=pages))
        except PghotError as error:
            self.close()
            raise PghotError(f"no probe at {FUNCTION}(): {error}") from None
        self._drained = Drained(256)

    def enable(self) -> None:
        """Start."""
        for rings in self._rings:
            rings.enable()

    def follow_cpus(self) -> None:
        """Open CPUs that came online, close those that went."""
        for rings in self._rings:
            rings.follow_cpus()

    def drain(self) -> tuple[Ranges, Ends]:
        """The ranges, and the ends, since the last drain."""
        begun, ended = (self._from(rings) for rings in self._rings)
        return (
            Ranges(begun.time_ns, begun.tid, begun.pid, begun.addr, begun.phys),
            Ends(ended.time_ns, ended.tid, ended.pid, ended.addr),
        )

    def close(self) -> None:
        """Take the probes away."""
        for rings in self._rings:
            rings.close()

    def _from(self, rings: EventRings) -> SampleColumns:
        drained = self._drained
        drained.reset()
        rings.drain(drained)
        self.lost += drained.count("lost") + drained.count("lost_samples")
        raw = drained.samples
        order = np.argsort(raw.time_ns, kind="stable")
        return SampleColumns._make(column[order] for column in raw)
