"""The series: its engine, fed by hint faults or by the IBS Memory Profiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pghot.binning.forms import Binned
from pghot.binning.histogram import PowersOfTwo
from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import V7, V8, Fidelity
from pghot.engine.layout import DEFAULT, Layout
from pghot.engine.recorder import PGHOT_HINTFAULTS, PGHOT_HWHINTS
from pghot.engine.tunables import NUMA_BALANCING_MEMORY_TIERING, Tunables
from pghot.engine.units import (
    MSEC_PER_SEC,
    PAGES_PER_SECTION,
    USEC_PER_SEC,
    jiffies_within,
)
from pghot.simulated.ibs.mprof import MprofAccesses
from pghot.simulated.ibs.sampling import Sampling
from pghot.simulated.machine.folios import Folios
from pghot.simulated.numa.process_scanners import Scanning
from pghot.simulated.policies.policy import Figures, Policy
from pghot.simulated.scenario.scenario import EventTable
from pghot.simulated.world import FaultArrays, World

WINDOW = "pghot_promote_freq_window_ms"


class Pghot(Policy):
    """The engine and its kmigrated, in one mode and fidelity; `source` is what feeds it."""

    source: ClassVar[int]
    tiering = 0
    """What `numa_balancing` is at the start."""

    def __init__(self, layout: Layout = DEFAULT, fidelity: Fidelity = V7) -> None:
        self._layout = layout
        self._fidelity = fidelity
        self._busy_s = 0.0
        self._batches = 0
        self._notes: list[str] = []
        self._sizes = PowersOfTwo()
        self._pass_us = PowersOfTwo()
        self._woke = 0.0
        self._either = fidelity in (V7, V8)

    def start(self, world: World) -> None:
        """Start the engine, its source, and kmigrated."""
        self._world = world
        self.engine = Engine(
            world.memory,
            self._layout,
            hz=world.scenario.hz,
            fidelity=self._fidelity,
            tiering=world.scenario.tiering,
        )
        self._write_tunables()
        self.engine.start()
        world.memory.tell(self._moved)
        self._start_source(world)
        world.agenda.at(self.engine.sleep_ms / MSEC_PER_SEC, self._wake)

    @property
    def dropped(self) -> int:
        """Samples that were lost to a full ring; 0 where the source has none."""
        return 0

    @property
    def either_posting(self) -> bool:
        """Whether v7 and v8 are known to do the same in this run so far (R12.1).

        They differ once a ready record opens a new window.  None can that is consumed before
        its window may be over: kmigrated left none behind, and a window is longer than twice
        the time between two of its looks.  Where tunables are none of v8's, or anything else
        happened, nothing is known.
        """
        return self._either and not self._may_outlast(self._world.now)

    def _may_outlast(self, time: float) -> bool:
        """Whether a record that became ready since the last look may be older than a window."""
        between = 2 * (time - self._woke) * self.engine.hz + 1
        within = jiffies_within(self.engine.tunables[WINDOW], self.engine.hz)
        return between + (1 << self._layout.time_bucket_shift) > within

    def figures(self) -> Figures:
        """What the engine counted."""
        return Figures(
            self.engine.vmstat.as_dict(),
            self.engine.refused,
            self.engine.memcg_promoted,
            self._notes,
            self._binned(),
        )

    def _binned(self) -> Binned:
        _pfn, record = self.engine.hot_map.nonzero()
        layout = self.engine.layout
        frequency = np.bincount(record >> layout.freq_shift & layout.freq_max)
        return Binned(
            kind="simulation",
            name="",
            fidelity=self.engine.fidelity.name,
            batches=self._sizes.form(),
            latency_ms=self._pass_us.form(scale=1e-3),
            frequency=frequency.tolist(),
            tunables=self.engine.tunables.as_dict(),
        )

    def _start_source(self, world: World) -> None:
        """Start what reports accesses to the engine."""
        raise NotImplementedError

    def _write_tunables(self) -> None:
        tunables = {"enabled_sources": str(1 << self.source), "numa_balancing": str(self.tiering)}
        tunables |= self._world.scenario.tunables
        for name, text in tunables.items():
            self.engine.write(name, text)
        self._either = self._either and self._same_in_v8(tunables)

    def _same_in_v8(self, texts: Mapping[str, str]) -> bool:
        """Whether v8 takes these tunables, and for the same numbers."""
        scenario = self._world.scenario
        v8 = Tunables(self._world.memory, self._layout, scenario.hz, V8, tiering=scenario.tiering)
        try:
            for name, text in texts.items():
                v8.write(name, text)
        except TunableError:
            return False
        return v8.as_dict() == self.engine.tunables.as_dict()

    def event(self, event: EventTable) -> None:
        """Hotplug and writes to tunables reach the engine as they would the kernel."""
        self._either = False
        if event.do == "add_node" and event.node is not None:
            node = self._world.memory.all[event.node]
            self.engine.memory_going_online(node.start_pfn, node.frames)
        elif event.do == "write" and event.name and event.value is not None:
            self.engine.write(event.name, event.value, self._jiffies)

    @property
    def _jiffies(self) -> int:
        return int(self._world.now * self.engine.hz)

    def _wake(self, time: float) -> None:
        """Have kmigrated look; it sleeps again when its batches are copied."""
        memory, costs = self._world.memory, self._world.costs
        self._batches = 0
        self._busy_s = 0.0
        folios = self._folios_to_walk()
        short, refused = set(memory.short), self.engine.refused["isolation"]
        with memory.gathering():
            for migrated in self.engine.migrations(self._jiffies):
                self._batches += len(migrated)
                self._sizes.add(migrated.batches["folios"].tolist())
        if self._may_outlast(time) or self.engine.hot_map.ready.any():
            self._either = False
        self._woke = time
        if self.engine.refused["isolation"] == refused:
            memory.short &= short  # a batch took the last free pages, and no folio was refused
        wakes = len(self.engine.kmigrated)
        took_us = wakes * costs.kmigrated_wake_us + costs.walk_us(folios, self._batches)
        self._busy_s += took_us * 1e-6
        self._world.spend("kmigrated", self._busy_s)
        self._world.agenda.at(
            time + self._busy_s + self.engine.sleep_ms / MSEC_PER_SEC, self._wake
        )

    def _folios_to_walk(self) -> int:
        """Count the folios of the sections that kmigrated is about to walk, free frames too."""
        mem_map, hot, count = self._world.memory.mem_map, self.engine.hot_map.hot, 0
        for kmigrated in self.engine.kmigrated.values():
            if not kmigrated.work_requested:
                continue
            slots = mem_map.slots_of_node(kmigrated.nid)
            slots = slots[hot[slots] > 0]
            count += len(slots) * PAGES_PER_SECTION
            if self._world.memory.largest > 1:
                count -= sum(map(mem_map.tail_pages, slots.tolist()))
        return count

    def _moved(self, folios: Folios, from_nid: npt.NDArray[np.int16], to_nid: int) -> None:
        """Take the time to copy what a pass has moved; a batch cannot be touched meanwhile."""
        if not self._world.memory.node_is_toptier(to_nid) or not self._batches:
            return
        seconds = self._world.copying(folios, from_nid, to_nid)
        self._world.unreachable(folios, seconds, self._batches)
        self._pass_us.add([round(seconds * 1e6)])
        self._busy_s += seconds


class HintFaults(Pghot):
    """The series fed by hint faults, which its scanner provokes."""

    source = PGHOT_HINTFAULTS
    tiering = NUMA_BALANCING_MEMORY_TIERING

    def _start_source(self, world: World) -> None:
        self._scan_s = np.zeros(len(world.memory.folios.pfn))
        Scanning(world, self._updates, self._tiering)

    def hint_faults(self, faults: FaultArrays) -> None:
        """Record the pages that faulted; the fault promotes nothing (R6.1)."""
        self.engine.vmstat.add("numa_hint_faults", len(faults.folios))
        if not self._tiering():  # folio_is_promo_candidate(): of pages marked before
            return
        pfns = self._world.memory.folios.pfn[faults.folios]
        now = (faults.times * self.engine.hz).astype(np.uint64)
        since = np.maximum(faults.times - self._scan_s[faults.folios], 0) * USEC_PER_SEC
        latency_us = np.minimum(since, np.iinfo(np.int32).max).astype(np.int32)
        self.engine.record_many(pfns, faults.nids, PGHOT_HINTFAULTS, now, latency_us)

    def _tiering(self) -> bool:
        mode = self.engine.tunables["numa_balancing"]
        return bool(mode & NUMA_BALANCING_MEMORY_TIERING)

    def _updates(self, folios: Folios, pages: int) -> None:
        self._scan_s[folios] = self._world.now
        self.engine.fault_latency.marked(pages)
        self.engine.vmstat.add("numa_pte_updates", pages)


class HardwareHints(Pghot):
    """The series fed by AMD's IBS Memory Profiler."""

    source = PGHOT_HWHINTS

    @property
    def dropped(self) -> int:
        """Samples that were lost to a full ring."""
        return self._sampling.driver.dropped

    def _start_source(self, world: World) -> None:
        (rng,) = world.rng.spawn(1)
        self._sampling = Sampling(world, self.engine.vmstat, self._record_samples, rng)
        self._notes += self._sampling.driver.notes

    def _record_samples(self, samples: MprofAccesses) -> None:
        self.engine.record_many(samples.pfn, samples.nid, PGHOT_HWHINTS, samples.time)
