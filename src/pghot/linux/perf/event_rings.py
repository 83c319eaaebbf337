"""Events opened on every CPU, one ring a CPU, as CPUs come and go."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import online_cpus
from pghot.linux.perf.arrays import Drained
from pghot.linux.perf.attr import EventAttr
from pghot.linux.perf.event_opener import EVERY_PROCESS
from pghot.linux.perf.open_events import CpuEvents
from pghot.linux.perf.rights import perf_advice
from pghot.linux.perf.ring import Ring, RingMemoryError
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.linux.perf.sample_layout import SampleLayout
from pghot.linux.processes.perf_limits import descriptor_advice, mlock_advice

_OF_EVERY_CPU = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOSYS}
"""Refusals that no other CPU would answer otherwise."""


class Wanted(NamedTuple):
    """Groups of events to open on `cpus` (None: all that are online), each led by its first.

    Those of one CPU share a ring, and so must have one sample_type.  `layout` is of samples
    whose sample_type alone does not tell it.  `aux_pages` is the size of an AUX buffer.
    """

    groups: Sequence[Sequence[EventAttr]]
    cpus: Sequence[int] | None = None
    layout: SampleLayout | None = None
    aux_pages: int = 0


class EventRings:
    """The rings of all CPUs for the same events: of one process, or of all (EVERY_PROCESS).

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
        self._on: dict[int, CpuEvents] = {}
        self._online = online_cpus(host)
        try:
            self._open_first()
        except BaseException:
            self.close()
            raise

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs that have a ring."""
        return tuple(sorted(self._on))

    @property
    def rings(self) -> list[Ring]:
        """The rings, by CPU."""
        return [on.ring for _cpu, on in sorted(self._on.items()) if on.ring is not None]

    @property
    def descriptors(self) -> list[int]:
        """The open events, for poll(2): readable when a ring passes its watermark."""
        return [descriptor for on in self._on.values() for descriptor in on.descriptors]

    def follow_cpus(self) -> bool:
        """Open CPUs that came online, close those that went; whether any did.

        The kernel takes events off a CPU that goes offline and does not put them back.
        What a closed ring held is gone: drain first.
        """
        online = online_cpus(self._host)
        if online == self._online:
            return False
        came = set(online) - set(self._online)
        for cpu in set(self._on) - set(online):
            self._on.pop(cpu).close()
        for cpu in sorted(came):
            try:
                self._open_cpu(cpu)
            except OSError as error:
                self._tell_refused(cpu, _text(error))
            except PghotError as error:
                self._tell_refused(cpu, str(error))
        self._online = online
        return True

    def enable(self) -> None:
        """Start sampling."""
        self._enabled = True
        for on in self._on.values():
            on.enable()

    def disable(self) -> None:
        """Stop sampling; what is in the rings stays there."""
        self._enabled = False
        for on in self._on.values():
            on.disable()

    def drain(self, into: Drained) -> None:
        """Take what all rings hold."""
        for on in self._on.values():
            on.drain(into)

    def close(self) -> None:
        """Close all; what was not drained is gone."""
        for on in self._on.values():
            on.close()
        self._on.clear()

    def _open_first(self) -> None:
        refused: OSError | None = None
        for cpu in self._online:
            try:
                self._open_cpu(cpu)
            except OSError as error:
                if error.errno in _OF_EVERY_CPU:
                    raise PghotError(self._why(error)) from None
                refused = error
                self._tell_refused(cpu, _text(error))
        if refused and not self._on:
            raise PghotError(self._why(refused))

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
        layout = next((wanted.layout for wanted in self._wanted if wanted.layout), None)
        aux_pages = max(wanted.aux_pages for wanted in self._wanted)
        on = CpuEvents(self._host, cpu, self._pages, layout, aux_pages)
        try:
            for task in self._tasks():
                for group in groups:
                    on.open_group(group, task)
            self._check_ring(on)
            if self._enabled:
                on.enable()
        except RingMemoryError as error:
            on.close()
            raise PghotError(f"{error}: {mlock_advice(self._host)}") from None
        except BaseException:
            on.close()
            raise
        self._on[cpu] = on

    def _tasks(self) -> list[int]:
        if self._pid == EVERY_PROCESS:
            return [EVERY_PROCESS]
        return [int(name) for name in self._host.names(f"/proc/{self._pid}/task")]

    def _check_ring(self, on: CpuEvents) -> None:
        if on.ring is None:
            raise PghotError(f"process {self._pid} is gone")
        if on.ring.pages < self._pages:
            self._note(
                f"perf rings of {on.ring.pages} pages instead of {self._pages}: "
                f"{mlock_advice(self._host)}"
            )

    def _tell_refused(self, cpu: int, why: str) -> None:
        self._note(f"CPU {cpu}: perf events cannot be opened ({why})")

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    def _why(self, error: OSError) -> str:
        """A note that says what was refused and what to do."""
        if error.errno in {errno.EACCES, errno.EPERM}:
            return (
                "perf events of other processes, or with physical addresses, are not allowed: "
                f"{perf_advice(self._host)}"
            )
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            events = sum(len(group) for wanted in self._wanted for group in wanted.groups)
            advice = descriptor_advice(self._host, events * len(self._online))
            return f"{_text(error)}: {advice}"
        if error.errno == errno.ENOSYS:
            return "this kernel has no perf events (CONFIG_PERF_EVENTS)"
        return f"perf events cannot be opened on any CPU: {_text(error)}"


def _text(error: OSError) -> str:
    return os.strerror(error.errno or errno.EIO)
