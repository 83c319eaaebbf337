"""When the kernel's scan for hint faults made which addresses prot_none.

change_prot_numa(vma, start, end) (mm/mempolicy.c) is called by the task whose memory it is,
for each range of a step of the scan (kernel/sched/fair.c, task_numa_work()).  A probe at its
entry tells the time, the process and the range, a few times a second for each process.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.errors import PghotError
from pghot.linux import kprobe
from pghot.linux.event_rings import EventRings, Wanted
from pghot.linux.host import Host
from pghot.linux.perf_arrays import Drained

FUNCTION = "change_prot_numa"
RING_PAGES = 4


class Ranges(NamedTuple):
    """Ranges of addresses, in time order: ns of CLOCK_MONOTONIC, a process, bytes."""

    time_ns: npt.NDArray[np.uint64]
    pid: npt.NDArray[np.int32]
    start: npt.NDArray[np.uint64]
    end: npt.NDArray[np.uint64]


class ProtNone:
    """The probe on every CPU, opened stopped; PghotError, one line, where there can be none."""

    def __init__(self, host: Host) -> None:
        self._probe = kprobe.probe(host, FUNCTION, 1, 2)
        wanted = Wanted([[self._probe.event]], layout=self._probe.layout)
        self.lost = 0
        """Ranges that found a ring full."""
        try:
            self._rings = EventRings(host, [wanted], pages=RING_PAGES)
        except PghotError as error:
            raise PghotError(f"no probe at {FUNCTION}(): {error}") from None
        self._drained = Drained(256)

    def enable(self) -> None:
        """Start."""
        self._rings.enable()

    def follow_cpus(self) -> bool:
        """Open CPUs that came online, close those that went; whether any did."""
        return self._rings.follow_cpus()

    def drain(self) -> Ranges:
        """The ranges since the last drain."""
        drained = self._drained
        drained.reset()
        self._rings.drain(drained)
        self.lost += drained.count("lost") + drained.count("lost_samples")
        raw = drained.samples
        order = np.argsort(raw.time_ns, kind="stable")
        return Ranges(raw.time_ns[order], raw.pid[order], raw.addr[order], raw.phys[order])

    def close(self) -> None:
        """Take the probe away."""
        self._rings.close()
