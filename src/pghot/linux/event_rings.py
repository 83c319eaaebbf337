"""Events opened on every CPU, one ring a CPU, as CPUs come and go.

perf_event_open(2); kernel/events/core.c.
"""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pghot.errors import PghotError
from pghot.linux.cpus import online_cpus
from pghot.linux.host import Host
from pghot.linux.perf_arrays import Drained
from pghot.linux.perf_attr import EventAttr, Flag
from pghot.linux.ring import RING_PAGES, Ring
from pghot.linux.sample_layout import sample_layout

_IOC_NONE = 1 << 29 if platform.machine().startswith(("ppc", "mips")) else 0
"""The direction bits of an ioctl without data: asm/ioctl.h."""

PERF_EVENT_IOC_ENABLE = _IOC_NONE | 0x2400
PERF_EVENT_IOC_DISABLE = _IOC_NONE | 0x2401
PERF_EVENT_IOC_SET_OUTPUT = _IOC_NONE | 0x2405

EVERY_PROCESS = -1
_MIN_PRECISE_IP = 2
_OF_EVERY_CPU = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOSYS}
"""Refusals that no other CPU would answer otherwise."""


class Wanted(NamedTuple):
    """Groups of events to open on `cpus` (None: all that are online), each led by its first."""

    groups: Sequence[Sequence[EventAttr]]
    cpus: Sequence[int] | None = None


class _OnCpu(NamedTuple):
    descriptors: list[int]
    ring: Ring


class EventRings:
    """The rings of all CPUs for the same events: of one process, or of all (pid -1).

    Of one process, every thread that it has now is opened; those that it makes later, and
    its children, are inherited.  A CPU that cannot be opened is told in `notes`, once, and
    the others go on; PghotError where none can, or where no other CPU could either.
    """

    def __init__(
        self,
        host: Host,
        wanted: Sequence[Wanted],
        pid: int = EVERY_PROCESS,
        pages: int = RING_PAGES,
    ) -> None:
        self.notes: list[str] = []
        self._host = host
        self._wanted = wanted
        self._pid = pid
        self._pages = pages
        self._enabled = False
        self._precise: dict[int, int] = {}
        self._rings: dict[int, _OnCpu] = {}
        self._online: tuple[int, ...] = ()
        try:
            self.follow_cpus()
        except BaseException:
            self.close()
            raise

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that have a ring."""
        return tuple(sorted(self._rings))

    @property
    def descriptors(self) -> list[int]:
        """The open events, for poll(2): readable when a ring passes its watermark."""
        return [descriptor for on in self._rings.values() for descriptor in on.descriptors]

    def follow_cpus(self) -> bool:
        """Open CPUs that came online, close those that went; say whether any did.

        The kernel takes events off a CPU that goes offline and does not put them back.
        """
        online = online_cpus(self._host)
        if online == self._online:
            return False
        for cpu in set(self._rings) - set(online):
            self._close_cpu(cpu)
        refused: OSError | None = None
        for cpu in online:
            if cpu in self._rings:
                continue
            try:
                self._open_cpu(cpu)
            except OSError as error:
                if error.errno in _OF_EVERY_CPU:
                    raise PghotError(_why(error)) from None
                refused = error
                self._note(f"CPU {cpu}: perf events cannot be opened ({_text(error)})")
        self._online = online
        if refused and not self._rings:
            raise PghotError(_why(refused))
        return True

    def enable(self) -> None:
        """Start sampling."""
        self._enabled = True
        for on in self._rings.values():
            self._all(on, PERF_EVENT_IOC_ENABLE)

    def disable(self) -> None:
        """Stop sampling; what is in the rings stays there."""
        self._enabled = False
        for on in self._rings.values():
            self._all(on, PERF_EVENT_IOC_DISABLE)

    def drain(self, into: Drained) -> None:
        """Take what all rings hold."""
        for on in self._rings.values():
            on.ring.drain(into)

    def close(self) -> None:
        """Close all; what was not drained is gone."""
        for cpu in list(self._rings):
            self._close_cpu(cpu)

    def _all(self, on: _OnCpu, request: int) -> None:
        for descriptor in on.descriptors:
            self._host.perf_event_ioctl(descriptor, request)

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _close_cpu(self, cpu: int) -> None:
        on = self._rings.pop(cpu)
        on.ring.close()
        for descriptor in on.descriptors:
            os.close(descriptor)

    def _open_cpu(self, cpu: int) -> None:
        """Open all that is wanted on a CPU; nothing where it has no events of ours."""
        groups = [
            group
            for wanted in self._wanted
            if wanted.cpus is None or cpu in wanted.cpus
            for group in wanted.groups
        ]
        if not groups:
            return
        descriptors: list[int] = []
        ring: Ring | None = None
        try:
            for task in self._tasks():
                for group in groups:
                    ring = self._open_group(group, task, cpu, descriptors, ring)
            on = _OnCpu(descriptors, self._present(ring))
            if self._enabled:
                self._all(on, PERF_EVENT_IOC_ENABLE)
        except BaseException:
            if ring:
                ring.close()
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        self._rings[cpu] = on

    def _present(self, ring: Ring | None) -> Ring:
        if ring is None:
            raise PghotError(f"process {self._pid} is gone")
        return ring

    def _tasks(self) -> list[int]:
        if self._pid == EVERY_PROCESS:
            return [EVERY_PROCESS]
        return [int(name) for name in self._host.names(f"/proc/{self._pid}/task")]

    def _open_group(
        self,
        group: Sequence[EventAttr],
        task: int,
        cpu: int,
        descriptors: list[int],
        ring: Ring | None,
    ) -> Ring | None:
        """Open a group for a task; its samples go to the CPU's ring, made by the first."""
        leader = -1
        for event in group:
            try:
                descriptor = self._open(event, task, cpu, leader)
            except ProcessLookupError:  # a thread that ended meanwhile
                return ring
            descriptors.append(descriptor)
            leader = descriptor if leader < 0 else leader
            if not event.sample_period:
                continue
            if ring is None:
                ring = self._ring(descriptor, event)
            else:
                self._host.perf_event_ioctl(descriptor, PERF_EVENT_IOC_SET_OUTPUT, ring.descriptor)
        return ring

    def _ring(self, descriptor: int, event: EventAttr) -> Ring:
        ring = Ring(descriptor, sample_layout(event.sample_type), self._pages)
        if ring.pages < self._pages:
            self._note(
                f"perf rings of {ring.pages} pages instead of {self._pages}: "
                "kernel.perf_event_mlock_kb and ulimit -l allow no more"
            )
        return ring

    def _open(self, event: EventAttr, task: int, cpu: int, leader: int) -> int:
        """Open an event, less precise where the PMU has nothing more precise to offer."""
        if task != EVERY_PROCESS:
            event = replace(event, flags=event.flags | Flag.INHERIT)
        precise = min(event.precise_ip, self._precise.get(event.type, event.precise_ip))
        while True:
            attr = replace(event, precise_ip=precise).pack()
            try:
                descriptor = self._host.perf_event_open(attr, task, cpu, leader)
            except OSError as error:
                less = error.errno in {errno.EINVAL, errno.EOPNOTSUPP}
                if not less or precise <= _MIN_PRECISE_IP:
                    raise
                precise -= 1
                continue
            if precise < event.precise_ip:
                self._precise[event.type] = precise
            return descriptor


def _text(error: OSError) -> str:
    return os.strerror(error.errno or errno.EIO)


def _why(error: OSError) -> str:
    """Say what was refused and what to do."""
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            "perf events of other processes are not allowed: run as root, or with CAP_PERFMON, "
            "or set kernel.perf_event_paranoid to -1"
        )
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return f"{_text(error)}: perf events need one for each CPU and event; raise ulimit -n"
    if error.errno == errno.ENOSYS:
        return "this kernel has no perf events (CONFIG_PERF_EVENTS)"
    return f"perf events cannot be opened on any CPU: {_text(error)}"
