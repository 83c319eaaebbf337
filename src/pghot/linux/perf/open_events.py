"""Events of one CPU, opened for some tasks, their samples all going to one ring.

perf_event_open(2); kernel/events/core.c, perf_event_set_output().
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Sequence
from dataclasses import replace

from pghot.linux.host import Host
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.attr import EventAttr, Flag
from pghot.linux.perf.aux_ring import AuxRing
from pghot.linux.perf.ring import Ring
from pghot.linux.perf.sample_layout import SampleLayout, sample_layout

_IOC_NONE = 1 << 29 if platform.machine().startswith(("ppc", "mips")) else 0
"""The direction bits of an ioctl without data: asm/ioctl.h."""

PERF_EVENT_IOC_ENABLE = _IOC_NONE | 0x2400
PERF_EVENT_IOC_DISABLE = _IOC_NONE | 0x2401
PERF_EVENT_IOC_SET_OUTPUT = _IOC_NONE | 0x2405

EVERY_PROCESS = -1
MIN_PRECISE_IP = 2
"""An event whose precise_ip is more is asked for less, down to this, where refused."""


def refusal(host: Host, group: Sequence[EventAttr], cpu: int) -> int:
    """Open a group on a CPU for all tasks, without a ring, and close it: 0, or the errno."""
    trial = CpuEvents(host, cpu, 0)
    try:
        for event in group:
            leader = trial.descriptors[0] if trial.descriptors else -1
            trial.descriptors.append(trial.open_one(event, EVERY_PROCESS, leader))
    except OSError as error:
        return error.errno or errno.EIO
    finally:
        trial.close()
    return 0


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
        self._precise: dict[int, int] = {}

    def open_group(self, group: Sequence[EventAttr], task: int) -> None:
        """Open a group, led by its first event, for a task (a thread id, or EVERY_PROCESS).

        Events of a task are inherited by its threads and children to come.  A thread that
        has ended is passed over; OSError where the kernel refuses otherwise, PghotError
        where the ring cannot be mapped.
        """
        leader = -1
        for event in group:
            try:
                descriptor = self.open_one(event, task, leader)
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

    def open_one(self, event: EventAttr, task: int, leader: int) -> int:
        """Open an event, less precise where the PMU has nothing more precise to offer."""
        if task != EVERY_PROCESS:
            event = replace(event, flags=event.flags | Flag.INHERIT)
        precise = min(event.precise_ip, self._precise.get(event.type, event.precise_ip))
        while True:
            attr = replace(event, precise_ip=precise).pack()
            try:
                descriptor = self._host.perf_event_open(attr, task, self._cpu, leader)
            except OSError as error:
                less = error.errno in {errno.EINVAL, errno.EOPNOTSUPP}
                if not less or precise <= MIN_PRECISE_IP:
                    raise
                precise -= 1
                continue
            if precise < event.precise_ip:
                self._precise[event.type] = precise
            return descriptor
