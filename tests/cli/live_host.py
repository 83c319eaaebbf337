"""The made-up host of the live tests, in real time and behind the real perf rings."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from pghot.linux.perf.open_events import PERF_EVENT_IOC_ENABLE
from pghot.linux.perf.ring import RING_PAGES
from tests.linux.perf_rig import MadeRing, sample
from tests.live.world import PAGE, World

NS_PER_MS = 1_000_000


class LiveHost(World):
    """A `World` whose perf events are rings in memory.

    What `heat` plans stands in CPU 0's ring from the moment it is enabled, with the times it
    will have.  `writes` are the settings written, `refuse` an errno for perf_event_open;
    `once_watched` is done when the first event is enabled, in the run's own thread.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.writes: list[tuple[str, str]] = []
        self.refuse = 0
        self.once_watched: list[Callable[[], object]] = []
        self._planned: list[tuple[int, int, int]] = []
        self._rings: dict[int, MadeRing] = {}

    def heat(
        self, pid: int, *pages: int, start_ms: int = 10, times: int = 4, each_ms: int = 50
    ) -> None:
        for i in range(times):
            self._planned += [(start_ms + i * each_ms, pid, page) for page in pages]

    def write(self, name: str, text: str) -> None:
        self.writes.append((name, text))
        super().write(name, text)

    def perf_event_open(self, attr: bytes, pid: int, cpu: int, group: int = -1) -> int:  # noqa: ARG002
        if self.refuse:
            raise OSError(self.refuse, os.strerror(self.refuse))
        ring = MadeRing(RING_PAGES)
        if cpu == 0:
            self._rings[ring.descriptor] = ring
        return ring.descriptor

    def perf_event_ioctl(self, descriptor: int, request: int, argument: int = 0) -> None:  # noqa: ARG002
        ring = self._rings.get(descriptor)
        if ring is None or request != PERF_EVENT_IOC_ENABLE:
            return
        steps, self.once_watched = self.once_watched, []
        for step in steps:
            step()
        now = time.monotonic_ns()
        for ms, pid, page in sorted(self._planned):
            if page not in self.tables.get(pid, {}):  # it has ended by now
                continue
            phys = self.tables[pid][page].pfn * PAGE
            ring.write(sample(now + ms * NS_PER_MS, pid, pid, page * PAGE + 24, 0, phys))


def files(root: Path) -> dict[str, bytes]:
    """Every file below a directory, and what is in it."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
