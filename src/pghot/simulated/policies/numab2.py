"""NUMA balancing's tiering mode as it stood before the series' patch 5.

The scanner notes when it took a folio's mapping away; a hint fault soon after that promotes
the folio there and then, in the faulting thread (kernel/sched/fair.c before the patch,
should_numa_migrate_memory(), numa_hint_fault_latency()).
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine import throttle_state
from pghot.engine.distinct import distinct
from pghot.engine.fidelity import V7
from pghot.engine.layout import DEFAULT
from pghot.engine.page_flags import OFF_LRU, UNMOVABLE
from pghot.engine.reasons import COLD, FAULT, FIXED, FULL, LIMITED, NOT_SLOW, PROMOTED
from pghot.engine.tunables import NUMA_BALANCING_MEMORY_TIERING, Tunables
from pghot.engine.units import MSEC_PER_SEC, NID_MAX, mb_to_pages
from pghot.engine.vmstat import Vmstat
from pghot.simulated.machine.folios import Folios
from pghot.simulated.numa.process_scanners import Scanning
from pghot.simulated.policies.policy import Figures, Policy
from pghot.simulated.scenario.scenario import EventTable
from pghot.simulated.world import FaultArrays, World

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i8, i16, i32, i64, u8
    from cython.cimports.pghot.engine.throttle import (
        Limits,
        Pgdat,
        has_headroom,
        judge,
        pgdat_items,
    )
    from cython.cimports.pghot.engine.throttle_verdicts import OVER_THRESHOLD, RATE_LIMITED
else:
    from pghot.engine.arrays import i8, i16, i32, i64, u8
    from pghot.engine.throttle import Limits, has_headroom, judge, pgdat_items
    from pghot.engine.throttle_verdicts import OVER_THRESHOLD, RATE_LIMITED

HOT_THRESHOLD_MS = 1000
"""debugfs hot_threshold_ms: a fault within it of the scan is of a hot page."""

_PROMOTED = cython.declare(cython.schar, PROMOTED)
_NOT_SLOW = cython.declare(cython.schar, NOT_SLOW)
_COLD = cython.declare(cython.schar, COLD)
_LIMITED = cython.declare(cython.schar, LIMITED)
_FULL = cython.declare(cython.schar, FULL)
_FIXED = cython.declare(cython.schar, FIXED)
RATE_LIMIT = "numa_balancing_promote_rate_limit_MBps"
_ITS_TUNABLES = ("numa_balancing", RATE_LIMIT, "pghot_promote_rate_limit_MBps")
"""Those that the kernel had before the series; the last is the limit's name since."""

_STUCK = UNMOVABLE | OFF_LRU


class FaultedFolios(NamedTuple):
    """Metadata of folios by their number.

    When each was last marked prot_none (ms), whether it must stay where it is, its node and
    pages.
    """

    scan_ms: npt.NDArray[np.int64]
    fixed: npt.NDArray[np.bool_]
    nid: npt.NDArray[np.int16]
    pages: npt.NDArray[np.int32]


class NodeHeadroom(NamedTuple):
    """By node id: free pages, top tier, present pages, promo and high watermark."""

    free: npt.NDArray[np.int64]
    toptier: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]
    promo: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]


def judge_faults(
    faults: tuple[Folios, npt.NDArray[np.int16], npt.NDArray[np.int64]],
    of_folios: FaultedFolios,
    headroom: NodeHeadroom,
    pgdat: npt.NDArray[np.void],
    rate_limit: cython.long,
) -> npt.NDArray[np.int8]:
    """Verdicts on faults in their order, as each takes headroom from those after it.

    `faults`: folios, nodes of the CPUs, times in ms; `rate_limit` in pages a second.
    """
    verdicts = np.zeros(len(faults[0]), np.int8)
    found: cython.p_schar = i8(verdicts)
    folio_of: cython.p_long = i64(faults[0])
    nid_of: cython.p_short = i16(faults[1])
    now_ms: cython.p_long = i64(faults[2])
    scan_ms: cython.p_long = i64(of_folios.scan_ms)
    fixed: cython.p_uchar = u8(of_folios.fixed)
    folio_nid: cython.p_short = i16(of_folios.nid)
    folio_pages: cython.p_int = i32(of_folios.pages)
    free: cython.p_long = i64(headroom.free)
    toptier: cython.p_long = i64(headroom.toptier)
    present: cython.p_long = i64(headroom.present)
    promo: cython.p_long = i64(headroom.promo)
    high: cython.p_long = i64(headroom.high)
    state: cython.pointer[Pgdat] = pgdat_items(pgdat)
    limits: Limits = Limits(1, HOT_THRESHOLD_MS, rate_limit, 0, MSEC_PER_SEC, True)
    count: cython.long = len(verdicts)
    folio: cython.long
    nid: cython.long
    size: cython.long
    verdict: cython.int
    enough: cython.bint
    i: cython.long
    with cython.nogil:
        for i in range(count):
            folio = folio_of[i]
            nid = nid_of[i]
            if toptier[folio_nid[folio]] or not toptier[nid]:
                found[i] = _NOT_SLOW
                continue
            size = folio_pages[folio]
            enough = has_headroom(free[nid], promo[nid], present[nid])
            limits.now_ms = now_ms[i]
            verdict = judge(state, nid, enough, size, now_ms[i] - scan_ms[folio], limits)
            if verdict == OVER_THRESHOLD:
                found[i] = _COLD
            elif verdict == RATE_LIMITED:
                found[i] = _LIMITED
            elif fixed[folio]:
                found[i] = _FIXED
            elif free[nid] <= high[nid] + size:
                found[i] = _FULL
            else:
                found[i] = _PROMOTED
                free[nid] -= size
    return verdicts


class NumaBalancing(Policy):
    """`kernel.numa_balancing=2` of a kernel without the series."""

    def start(self, world: World) -> None:
        """Start the scanner."""
        self._world = world
        self._pgdat = throttle_state.make_pgdat()
        self._vmstat = Vmstat(self._pgdat)
        self._figures = Figures()
        folios = world.memory.folios
        self._scan_ms = np.zeros(len(folios.pfn), np.int64)
        self._fixed = (folios.flags & _STUCK) > 0
        for region in world.regions.values():
            if region.shared_executable:  # refused where the caller has a VMA (patch 1)
                self._fixed[region.rows] = True
        hz, tiering = world.scenario.hz, world.scenario.tiering
        self._tunables = Tunables(world.memory, DEFAULT, hz, V7, tiering=tiering)
        written = {"numa_balancing": str(NUMA_BALANCING_MEMORY_TIERING)}
        for name, text in (written | world.scenario.tunables).items():
            self._write(name, text)
        self._scanning = Scanning(world, self._scanned, self._tiering)

    def figures(self) -> Figures:
        """The counters of the kernel, and refusals by name."""
        self._figures.counters = self._vmstat.as_dict()
        return self._figures

    def event(self, event: EventTable) -> None:
        """Take a write to a tunable."""
        if event.do == "write" and event.name and event.value is not None:
            self._write(event.name, event.value)

    def _write(self, name: str, text: str) -> None:
        if name in _ITS_TUNABLES:
            was = self._tiering()
            self._tunables.write(name, text)
            if self._tiering() and not was:
                throttle_state.reset(self._pgdat, int(self._world.now * MSEC_PER_SEC))

    def _tiering(self) -> bool:
        return bool(self._tunables["numa_balancing"] & NUMA_BALANCING_MEMORY_TIERING)

    def _scanned(self, folios: Folios, pages: int) -> None:
        self._scan_ms[folios] = int(self._world.now * MSEC_PER_SEC)
        self._vmstat.add("numa_pte_updates", pages)

    def hint_faults(self, faults: FaultArrays) -> None:
        """Promote what was faulted on soon after its scan, in the threads that fault."""
        self._vmstat.add("numa_hint_faults", len(faults.folios))
        if not self._tiering():  # of pages marked before; without tiering they stay
            return
        memory = self._world.memory
        folios = memory.folios
        verdicts = judge_faults(
            (faults.folios, faults.nids, (faults.times * MSEC_PER_SEC).astype(np.int64)),
            FaultedFolios(self._scan_ms, self._fixed, folios.nid, folios.pages),
            self._room(),
            self._pgdat,
            mb_to_pages(self._tunables[RATE_LIMIT]),
        )
        for reason in FAULT[COLD:]:
            if count := int(np.count_nonzero(verdicts == reason.code)):
                self._figures.refused[reason.name] += count
        for nid in distinct(faults.nids).tolist():
            if np.any((verdicts == FULL) & (faults.nids == nid)):
                memory.short.add(nid)
            chosen = faults.folios[(verdicts == PROMOTED) & (faults.nids == nid)]
            if len(chosen):
                self._promote(chosen, nid)

    def _promote(self, folios: Folios, nid: int) -> None:
        """Move folios in the threads that faulted on them."""
        memory = self._world.memory
        before = memory.folios.nid[folios]
        moved = memory.move(folios, nid)
        folios, before = folios[moved], before[moved]
        pages = memory.folios.pages[folios]
        self._scanning.promoted(folios)
        self._vmstat.add("numa_pages_migrated", int(pages.sum()))
        self._pgdat["pgpromote_success"][nid] += int(pages.sum())
        for memcg in distinct(memory.folios.memcg[folios]).tolist():
            mine = memory.folios.memcg[folios] == memcg
            self._figures.memcg_promoted[memcg] += int(pages[mine].sum())
        if not len(folios):
            return
        seconds = self._world.copying(folios, before, nid)
        isolating = len(folios) * self._world.costs.fault_isolate_us * 1e-6
        self._world.spend("migration", seconds + isolating)
        for region, places in self._world.by_region(folios):
            part = (seconds + isolating) * len(places) / len(folios)
            for flow in region.flows[:1]:
                self._world.owe(flow, part)
        self._world.unreachable(folios, seconds, len(folios))

    def _room(self) -> NodeHeadroom:
        memory = self._world.memory
        facts = np.zeros((4, NID_MAX + 1), np.int64)
        for nid in memory.nodes():
            node = memory.all[nid]
            facts[:, nid] = node.toptier, node.pages, node.wmark.promo, node.wmark.high
        return NodeHeadroom(memory.lists.free.copy(), *facts)
