"""The IBS Memory Profiler in a world: samples of what threads access, handed to a recorder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pghot.engine.vmstat import Vmstat
from pghot.simulated.groups import Group
from pghot.simulated.ibs import registers as ibs
from pghot.simulated.ibs.hardware import (
    Fired,
    OpCounter,
    TimePacer,
    draw_valid,
    sample_registers,
)
from pghot.simulated.ibs.mprof import MemoryProfiler, MprofAccesses, Overflows
from pghot.simulated.scenario.scenario import EventTable
from pghot.simulated.world import GroupStep, World

_US = 1e6

LVT_OFFSET = ibs.IBSCTL_LVT["IBSCTL_MPROF_LVT_OFFSET_VALID"]
"""What firmware leaves in MSR_AMD64_IBSCTL, where it sets the profiler up."""


_NONE = Overflows(
    cpu=np.empty(0, np.int32),
    time_us=np.empty(0, np.float64),
    jiffies=np.empty(0, np.uint64),
    data2=np.empty(0, np.uint64),
    data3=np.empty(0, np.uint64),
    phyaddr=np.empty(0, np.uint64),
    online=np.empty(0, np.bool_),
)


class Sampling:
    """Watches every step.  `record` takes what the drains hand on, in the order of time."""

    def __init__(
        self,
        world: World,
        vmstat: Vmstat,
        record: Callable[[MprofAccesses], None],
        rng: np.random.Generator,
    ) -> None:
        self._world = world
        self._vmstat = vmstat
        self._record = record
        self._rng = rng
        self._table = world.scenario.sampler
        self._cpus = [cpu for group in world.groups for cpu in group.cpus]
        self._first = _firsts(world.groups)
        self._top = world.memory.on_top
        nids = [group.table.node for group in world.groups for _ in group.cpus]
        self.driver = MemoryProfiler(
            nids,
            caps=ibs.IBS_CAPS_MEM_PROFILER if self._table.available else 0,
            ibsctl=LVT_OFFSET,
            drain_delay_us=world.costs.drain_delay_us,
        )
        for cpu in range(len(nids)):
            self.driver.startup(cpu)
        self._hardware = self._make_hardware(len(nids))
        self._ops_left = np.zeros(len(nids))
        world.on_event.append(self._event)
        if self.driver.capable:
            world.watchers.append(self)

    def watch(self, steps: Sequence[GroupStep], start: float, end: float) -> None:
        """Take the samples of a step."""
        fired = self._fire(steps, end - start)
        samples = _joined([self._samples(step, fired, start, end) for step in steps])
        self._world.account.total["samples"] += len(samples.cpu)
        recorded = self.driver.run(samples, end * _US, self._vmstat)
        if len(recorded.pfn):
            self._record(recorded)

    def _make_hardware(self, cpus: int) -> OpCounter | TimePacer:
        table = self._table
        if table.pace_hz is not None:
            return TimePacer(cpus, table.pace_hz, self._rng)
        return OpCounter(cpus, table.period, 1 / table.ops_per_access, self._rng)

    def _fire(self, steps: Sequence[GroupStep], seconds: float) -> Fired:
        done = np.zeros(len(self._cpus))
        for step in steps:
            rows = self._rows(step.group)
            if isinstance(self._hardware, TimePacer):
                done[rows] = seconds
            else:
                done[rows] = step.made / len(step.group.cpus) * self._table.ops_per_access
        done[~self.driver.enabled] = 0
        if isinstance(self._hardware, TimePacer):
            return self._hardware.advance(done)
        self._ops_left += done
        ops = self._ops_left.astype(np.int64)
        self._ops_left -= ops
        return self._hardware.advance(ops)

    def _samples(self, step: GroupStep, fired: Fired, start: float, end: float) -> Overflows:
        """The overflows of a group's CPUs, and have its threads pay for them."""
        world, group = self._world, step.group
        rows = self._rows(group)
        mine = slice(*np.searchsorted(fired.cpu, [rows.start, rows.stop]).tolist())
        cpu, fraction = fired.cpu[mine], fired.fraction[mine]
        folios = group.flow.stream.draw(step.start + fraction * (step.end - step.start))
        pfn, nid = self._pages(group, folios)
        seconds = len(cpu) * world.costs.sampled_us * 1e-6
        group.debt_s += seconds
        world.spend("sampling", seconds)
        times = start + fraction * (end - start)
        registers = sample_registers(
            pfn.astype(np.uint64),
            extended=~self._top[nid],
            remote=nid != group.table.node,
            store=self._rng.random(len(cpu)) < group.table.store_share,
            valid=draw_valid(len(cpu), self._table.invalid_address_share, self._rng),
        )
        jiffies = (times * world.scenario.hz).astype(np.uint64)
        online = np.ones(len(cpu), np.bool_)
        return Overflows(cpu, times * _US, jiffies, *registers, online)

    def _pages(
        self, group: Group, folios: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int16]]:
        """A PFN in each folio, any of its own, and its node."""
        arrays = self._world.memory.folios
        folios = folios + group.region.first
        pfn = arrays.pfn[folios]
        if group.region.pages > 1:
            pfn = pfn + self._rng.integers(0, group.region.pages, len(folios))
        return pfn, arrays.nid[folios]

    def _rows(self, group: Group) -> slice:
        first = self._first[group.table.name]
        return slice(first, first + len(group.cpus))

    def _event(self, event: EventTable) -> None:
        if event.cpu not in self._cpus:
            return
        row = self._cpus.index(event.cpu)
        if event.do == "offline_cpu":
            self.driver.teardown(row)
        elif event.do == "online_cpu":
            self.driver.startup(row)


def _joined(parts: list[Overflows]) -> Overflows:
    if len(parts) == 1:
        return parts[0]
    columns = zip(_NONE, *parts, strict=True)
    return Overflows(*(np.concatenate(column) for column in columns))


def _firsts(groups: Sequence[Group]) -> dict[str, int]:
    firsts, at = {}, 0
    for group in groups:
        firsts[group.table.name] = at
        at += len(group.cpus)
    return firsts
