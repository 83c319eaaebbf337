"""Events of one CPU, opened for some tasks, their samples all going to one ring.

perf_event_open(2); kernel/events/core.c, perf_event_set_output().
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from pghot.linux.host import Host
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.attr import EventAttr
from pghot.linux.perf.aux_ring import AuxRing
from pghot.linux.perf.event_opener import EventOpener
from pghot.linux.perf.ring import Ring
from pghot.linux.perf.sample_layout import SampleLayout, sample_layout

_IOC_NONE = 1 << 29 if platform.machine().startswith(("ppc", "mips")) else 0
"""The direction bits of an ioctl without data: asm/ioctl.h."""

PERF_EVENT_IOC_ENABLE = _IOC_NONE | 0x2400
PERF_EVENT_IOC_DISABLE = _IOC_NONE | 0x2401
PERF_EVENT_IOC_SET_OUTPUT = _IOC_NONE | 0x2405


class CpuEvents:
    """What is open on one CPU.  `ring` is None until an event that samples is open."""

    def __init__(
        self,
        host: Host,
        cpu: int,
        pages: int,
        layout: SampleLayout | None = None,
        aux_pages: int = 0,
    ) -> None:
        """With `aux_pages` the ring is an `AuxRing` of so many."""
        self._aux_pages = aux_pages
        self.descriptors: list[int] = []
        self.ring: Ring | None = None
        self._host = host
        self._cpu = cpu
        self._pages = pages
        self._layout = layout
        self._opener = EventOpener(host, cpu)

    def open_group(self, group: Sequence[EventAttr], task: int) -> None:
        """Open a group, led by its first event, for a task (a thread id, or EVERY_PROCESS).

        Events of a task are inherited by its threads and children to come.  A thread that
        has ended is passed over; OSError where the kernel refuses otherwise, PghotError
        where the ring cannot be mapped.
        """
        leader = -1
        for event in group:
            try:
                descriptor = self._opener.open(event, task, leader)
            except ProcessLookupError:
                return
            self.descriptors.append(descriptor)
            leader = descriptor if leader < 0 else leader
            if event.sample_period:
                self._send_to_ring(descriptor, event)

    def enable(self) -> None:
        """Start all."""
        for descriptor in self.descriptors:
            self._host.perf_event_ioctl(descriptor, PERF_EVENT_IOC_ENABLE)

    def disable(self) -> None:
        """Stop all."""
        for descriptor in self.descriptors:
            self._host.perf_event_ioctl(descriptor, PERF_EVENT_IOC_DISABLE)

    def drain(self, into: Drained) -> None:
        """Take what the ring holds."""
        if self.ring:
            self.ring.drain(into)

    def close(self) -> None:
        """Close all."""
        if self.ring:
            self.ring.close()
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.ring, self.descriptors = None, []

    def _send_to_ring(self, descriptor: int, event: EventAttr) -> None:
        if self.ring is None:
            layout = self._layout or sample_layout(event.sample_type)
            self.ring = self._ring(descriptor, layout)
        else:
            self._host.perf_event_ioctl(
                descriptor, PERF_EVENT_IOC_SET_OUTPUT, self.ring.descriptor
            )

    def _ring(self, descriptor: int, layout: SampleLayout) -> Ring:
        if self._aux_pages:
            return AuxRing(descriptor, layout, self._pages, self._aux_pages, self._cpu)
        return Ring(descriptor, layout, self._pages)
