"""NUMA balancing's tiering mode as it stood before the series' patch 5.

The scanner notes when it took a folio's mapping away; a hint fault soon after that promotes
the folio there and then, in the faulting thread (kernel/sched/fair.c before the patch,
should_numa_migrate_memory(), numa_hint_fault_latency()).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine import throttle
from pghot.engine.fidelity import V7
from pghot.engine.jit import compiled
from pghot.engine.layout import DEFAULT
from pghot.engine.mem_map import OFF_LRU, UNMOVABLE
from pghot.engine.throttle import ADMITTED, OVER_THRESHOLD, has_free_room, judge
from pghot.engine.tunables import NUMA_BALANCING_MEMORY_TIERING, Tunables
from pghot.engine.units import MSEC_PER_SEC, NID_MAX, mb_to_pages
from pghot.engine.vmstat import Vmstat
from pghot.policies.policy import Figures
from pghot.simulated.scanning import Scanning
from pghot.simulated.scenario import EventTable
from pghot.simulated.units import Units
from pghot.simulated.world import Faults, World

HOT_THRESHOLD_MS = 1000
"""debugfs hot_threshold_ms: a fault within it of the scan is of a hot page."""

PROMOTED, NOT_SLOW, COLD, LIMITED, NO_ROOM, REFUSED = range(6)
RATE_LIMIT = "numa_balancing_promote_rate_limit_MBps"
_ITS_TUNABLES = ("numa_balancing", RATE_LIMIT, "pghot_promote_rate_limit_MBps")
"""Those that the kernel had before the series; the last is the limit's name since."""

REASONS = {
    COLD: "over the threshold",
    LIMITED: "rate limited",
    NO_ROOM: "no room on the target",
    REFUSED: "cannot be isolated",
}
_STUCK = UNMOVABLE | OFF_LRU


@compiled
def judge_faults(
    units: Any,
    nids: Any,
    now_ms: Any,
    scan_ms: Any,
    fixed: Any,
    arrays: Any,
    pgdat: Any,
    free: Any,
    nodes: Any,
    rate_limit: int,
    verdicts: Any,
) -> None:
    """Judge faults in their order, as each takes room from those after it.

    `scan_ms` by unit; `fixed` by unit, where it must stay; `free` by node, a copy; `nodes`
    (toptier, present, promo and high mark) by id.
    """
    _pfn, unit_nid, pages, _memcg, _flags = arrays
    toptier, present, promo, high = nodes
    for i in range(len(units)):
        unit, nid = units[i], nids[i]
        if toptier[unit_nid[unit]] or not toptier[nid]:
            verdicts[i] = NOT_SLOW
            continue
        size = np.int64(pages[unit])
        enough = has_free_room(free[nid], promo[nid], present[nid])
        latency = now_ms[i] - scan_ms[unit]
        found = judge(
            pgdat[nid],
            enough,
            size,
            latency,
            HOT_THRESHOLD_MS,
            rate_limit,
            now_ms[i],
            True,
        )
        if found != ADMITTED:
            verdicts[i] = COLD if found == OVER_THRESHOLD else LIMITED
        elif fixed[unit]:
            verdicts[i] = REFUSED
        elif free[nid] <= high[nid] + size:
            verdicts[i] = NO_ROOM
        else:
            verdicts[i] = PROMOTED
            free[nid] -= size


class NumaBalancing:
    """`kernel.numa_balancing=2` of a kernel without the series."""

    def prepare(self, world: World) -> None:
        """Start the scanner."""
        self._world = world
        self._pgdat = throttle.make_pgdat()
        self._vmstat = Vmstat(self._pgdat)
        self._figures = Figures()
        units = world.memory.units
        self._scan_ms = np.zeros(len(units.pfn), np.int64)
        self._fixed = (units.flags & _STUCK) > 0
        for region in world.regions.values():
            if region.shared_executable:  # refused where the caller has a VMA (patch 1)
                self._fixed[region.rows] = True
        hz, tiering = world.scenario.hz, world.scenario.tiering
        self._tunables = Tunables(world.memory, DEFAULT, hz, V7, tiering=tiering)
        written = {"numa_balancing": str(NUMA_BALANCING_MEMORY_TIERING)}
        for name, text in (written | world.scenario.tunables).items():
            self._write(name, text)
        self._scanning = Scanning(world, self._scanned, self._tiering)
        world.on_faults = self._hint_faults
        world.on_event.append(self._event)

    def figures(self) -> Figures:
        """Give what was counted."""
        self._figures.counters = self._vmstat.as_dict()
        return self._figures

    def _event(self, event: EventTable) -> None:
        if event.do == "write" and event.name and event.value is not None:
            self._write(event.name, event.value)

    def _write(self, name: str, text: str) -> None:
        if name in _ITS_TUNABLES:
            was = self._tiering()
            self._tunables.write(name, text)
            if self._tiering() and not was:
                throttle.reset(self._pgdat, int(self._world.now * MSEC_PER_SEC))

    def _tiering(self) -> bool:
        return bool(self._tunables["numa_balancing"] & NUMA_BALANCING_MEMORY_TIERING)

    def _scanned(self, units: Units, pages: int) -> None:
        self._scan_ms[units] = int(self._world.now * MSEC_PER_SEC)
        self._vmstat.add("numa_pte_updates", pages)

    def _hint_faults(self, faults: Faults) -> None:
        self._vmstat.add("numa_hint_faults", len(faults.units))
        if not self._tiering():  # of pages marked before; without tiering they stay
            return
        memory = self._world.memory
        verdicts = np.zeros(len(faults.units), np.int8)
        judge_faults(
            faults.units,
            faults.nids,
            (faults.times * MSEC_PER_SEC).astype(np.int64),
            self._scan_ms,
            self._fixed,
            memory.units,
            self._pgdat,
            memory.lists.free.copy(),
            self._nodes(),
            mb_to_pages(self._tunables[RATE_LIMIT]),
            verdicts,
        )
        for reason, name in REASONS.items():
            if count := int(np.count_nonzero(verdicts == reason)):
                self._figures.refused[name] += count
        for nid in np.unique(faults.nids).tolist():
            if np.any((verdicts == NO_ROOM) & (faults.nids == nid)):
                memory.short.add(nid)
            chosen = faults.units[(verdicts == PROMOTED) & (faults.nids == nid)]
            if len(chosen):
                self._promote(chosen, nid)

    def _promote(self, units: Units, nid: int) -> None:
        """Move folios in the threads that faulted on them."""
        memory = self._world.memory
        before = memory.units.nid[units]
        moved = memory.move(units, nid)
        units, before = units[moved], before[moved]
        pages = memory.units.pages[units]
        self._scanning.promoted(units)
        self._vmstat.add("numa_pages_migrated", int(pages.sum()))
        self._pgdat["pgpromote_success"][nid] += int(pages.sum())
        for memcg in np.unique(memory.units.memcg[units]).tolist():
            mine = memory.units.memcg[units] == memcg
            self._figures.memcg_promoted[memcg] += int(pages[mine].sum())
        if not len(units):
            return
        seconds = self._world.copying(units, before, nid)
        isolating = len(units) * self._world.costs.fault_isolate_us * 1e-6
        self._world.spend("migration", seconds + isolating)
        for region, places in self._world.by_region(units):
            part = (seconds + isolating) * len(places) / len(units)
            for flow in region.flows[:1]:
                self._world.owe(flow, part)
        self._world.unreachable(units, seconds, len(units))

    def _nodes(self) -> tuple[npt.NDArray[np.int64], ...]:
        facts = np.zeros((4, NID_MAX + 1), np.int64)
        for nid in self._world.memory.nodes():
            node = self._world.memory.all[nid]
            facts[:, nid] = node.toptier, node.pages, node.wmark.promo, node.wmark.high
        return tuple(facts)
