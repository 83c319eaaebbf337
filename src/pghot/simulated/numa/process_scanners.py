"""The NUMA scanners of a world: one a process, each at its own pace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from pghot.engine.units import MSEC_PER_SEC, NID_MAX
from pghot.simulated.machine.folios import Folios
from pghot.simulated.machine.regions import FolioRegion
from pghot.simulated.numa.scan_period import ScanTunables
from pghot.simulated.numa.scanner import NumaScanner
from pghot.simulated.world import World

IDLE_S = 0.1
"""How soon to look again at a process that does not run, or is not to be scanned."""


@dataclass(slots=True)
class _Process:
    name: str
    scanner: NumaScanner
    regions: list[FolioRegion]
    cpu_ms: float = 0.0
    seen_s: float = 0.0


class Scanning:
    """Makes pages of the lower tiers prot_none.  `told` of those folios and of their pages.

    `tiering` says whether numa_balancing has its tiering bit, whenever a step is due.
    """

    def __init__(
        self, world: World, told: Callable[[Folios, int], None], tiering: Callable[[], bool]
    ) -> None:
        self._world = world
        self._told = told
        self._tiering = tiering
        self._processes = [self._process(name) for name in self._names()]
        for process in self._processes:
            self._put_down(process)

    def promoted(self, folios: Folios) -> None:
        """Count promotions in the fault, as task_numa_fault() does before patch 5."""
        world = self._world
        for region, places in world.by_region(folios):
            for process in self._processes:
                if process.name == region.process:
                    pages = len(places) * region.pages
                    process.scanner.count_faults(world.now * MSEC_PER_SEC, remote_private=pages)

    def _names(self) -> list[str]:
        return list(dict.fromkeys(region.process for region in self._world.regions.values()))

    def _process(self, name: str) -> _Process:
        scenario = self._world.scenario
        regions = [r for r in self._world.regions.values() if r.process == name]
        groups = [g for g in self._world.groups if g.region.process == name]
        threads = sum(group.table.count for group in groups)
        start_s = min((group.table.start_s for group in groups), default=0.0)
        table = scenario.scanner
        scanner = NumaScanner(
            ScanTunables(
                scan_delay_ms=int(table.scan_delay_ms),
                scan_period_min_ms=int(table.scan_period_min_ms),
                scan_period_max_ms=int(table.scan_period_max_ms),
                scan_size_mb=int(table.scan_size_mb),
                scale=table.scale,
            ),
            now_ms=start_s * MSEC_PER_SEC,
            threads=threads,
            cloned=threads > 1,
            hz=scenario.hz,
        )
        for region in regions:
            scanner.add_region(region.first, region.folios, region.pages.bit_length() - 1)
        return _Process(name, scanner, regions)

    def _put_down(self, process: _Process) -> None:
        now_ms = self._world.now * MSEC_PER_SEC
        pace = 1.0 if self._runs(process) else 0.0
        due = process.scanner.due_ms(now_ms, process.cpu_ms, pace) / MSEC_PER_SEC
        if due == inf or not self._tiering():
            due = self._world.now + IDLE_S
        self._world.agenda.at(due, lambda _time: self._look(process))

    def _look(self, process: _Process) -> None:
        """Do a step where one is due."""
        world = self._world
        now_ms = world.now * MSEC_PER_SEC
        if self._runs(process):
            process.cpu_ms += (world.now - process.seen_s) * MSEC_PER_SEC
        process.seen_s = world.now
        due = process.scanner.due_ms(now_ms, process.cpu_ms, 0.0)
        if self._tiering() and due <= now_ms + 1e-6:
            self._step(process, now_ms)
        self._put_down(process)

    def _step(self, process: _Process, now_ms: float) -> None:
        world = self._world
        step = process.scanner.step(
            now_ms, process.cpu_ms, world.memory.folios.nid, world.prot_none, _toptier(world)
        )
        took_us = world.costs.scan_us(step.looked_at, len(step.folios))
        process.scanner.spent(took_us / 1000)
        world.spend("scanner", took_us * 1e-6)
        for region in process.regions[:1]:
            for flow in region.flows[:1]:
                world.owe(flow, took_us * 1e-6)
        if len(step.folios):
            world.make_prot_none(step.folios)
            self._told(step.folios, step.pte_updates)

    def _runs(self, process: _Process) -> bool:
        groups = self._world.groups
        return any(g.running and g.region.process == process.name for g in groups)


def _toptier(world: World) -> npt.NDArray[np.bool_]:
    toptier = np.zeros(NID_MAX + 1, np.bool_)
    for nid in world.memory.nodes():
        toptier[nid] = world.memory.node_is_toptier(nid)
    return toptier
