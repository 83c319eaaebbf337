"""The machine with all that runs on it, advanced step by step.

A step is no longer than the scenario's tick and ends early where something is to happen.
In it every access of a stream costs the same: what the nodes of its pages cost under the
present load.  Faults, interrupts and waiting are owed, and paid out of the next steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from math import exp, inf
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.simulated.agenda import Agenda
from pghot.simulated.groups import Group
from pghot.simulated.hot_set import heat, hottest
from pghot.simulated.machine.costs import with_costs
from pghot.simulated.machine.folios import Folios
from pghot.simulated.machine.layout import lay_out
from pghot.simulated.machine.memory import SimulatedMemory
from pghot.simulated.machine.population import allocate, make_groups, make_regions
from pghot.simulated.machine.regions import FolioRegion, StreamCursor
from pghot.simulated.machine.traffic import Traffic
from pghot.simulated.metrics import Metrics
from pghot.simulated.scenario.scenario import EventTable, Scenario

PAGE_BYTES = 4096
IDLE_STEP_S = 0.1
"""The longest step where nothing but accesses goes on."""


class FaultArrays(NamedTuple):
    """Hint faults in the order of time: folio, seconds, node of the CPU; one by one."""

    folios: Folios
    times: npt.NDArray[np.float64]
    nids: npt.NDArray[np.int16]


class GroupStep(NamedTuple):
    """What a group did in a step: accesses from one clock of its flow to another."""

    group: Group
    start: float
    end: float
    made: float


class Watcher(Protocol):
    """A source of accesses: it is shown each step."""

    def watch(self, steps: Sequence[GroupStep], start: float, end: float) -> None:
        """Look at what was done from `start` to `end`, in seconds."""


class World:
    """A scenario under way: `simulated.policies.policy.attach` adds a policy, then it runs."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        self.scenario = scenario
        self.costs = with_costs(scenario.costs)
        self.now = 0.0
        self.agenda = Agenda()
        self.memory: SimulatedMemory = lay_out(scenario)
        self.traffic = Traffic(scenario)
        self.memory.distance = self.traffic.distance
        self.account = Metrics(self.memory, IDLE_STEP_S)
        self.tick_s = scenario.tick_ms / 1000
        self._limit = scenario.seconds or inf
        self.on_faults: Callable[[FaultArrays], None] | None = None
        """Takes hint faults; None where nothing is ever prot_none."""
        self.watchers: list[Watcher] = []
        self.on_new_heat: list[Callable[[float], None]] = []
        """Called when heat has changed: as threads start or end, and at phase changes."""
        self.on_event: list[Callable[[EventTable], None]] = []
        """Told of every event of the scenario, after the machine has changed."""
        self.on_allocated: list[Callable[[Folios, float], None]] = []
        self.after_step: list[Callable[[float], None]] = []
        self.served_by: Callable[[Group], int] | None = None
        """The node that serves all accesses of a group; None: those that pages are on."""
        self.place_of: Callable[[str, tuple[int, ...]], tuple[tuple[int, ...], bool]] | None = None
        self.rng = rng
        self.regions: dict[str, FolioRegion] = make_regions(scenario, self.memory, *rng.spawn(1))
        sizes = [region.folios for region in self.regions.values()]
        self._region_of = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        self.prot_none: npt.NDArray[np.bool_] = np.zeros(sum(sizes), np.bool_)
        """Folios whose next access faults."""
        rngs = rng.spawn(len(scenario.threads))
        self.groups: list[Group] = make_groups(scenario, self.memory, self.regions, rngs)
        self.memory.tell(self._moved)

    # What policies and sources use.

    def heat(self) -> npt.NDArray[np.float64]:
        """Each folio's share of the accesses of the threads that run, in their phases."""
        folios = len(self.memory.folios.pfn)
        return heat(self.regions.values(), [g for g in self.groups if g.running], folios)

    def by_region(self, folios: Folios) -> Iterable[tuple[FolioRegion, npt.NDArray[np.int64]]]:
        """Split folios by region: each with the places in `folios` of those that are its."""
        of = self._region_of[folios]
        regions = list(self.regions.values())
        present = range(len(regions)) if len(regions) == 1 else distinct(of).tolist()
        for number in present:
            yield regions[number], np.flatnonzero(of == number)

    def make_prot_none(self, folios: Folios) -> None:
        """Take the mapping of folios away: their next access faults."""
        self.prot_none[folios] = True
        for region, places in self.by_region(folios):
            for flow in region.flows:
                flow.stream.make_prot_none(folios[places] - region.first, flow.clock)

    def spend(self, what: str, seconds: float) -> None:
        """Count CPU time that something took."""
        self.account.overhead_s[what] += seconds

    def owe(self, flow: StreamCursor, seconds: float) -> None:
        """Have the threads of a flow lose time, each as much as the other."""
        groups = [group for group in self.groups if group.flow is flow and group.running]
        threads = sum(group.threads for group in groups)
        for group in groups:
            group.debt_s += seconds * group.threads / threads

    def copying(self, folios: Folios, from_nid: npt.NDArray[np.int16], to_nid: int) -> float:
        """The seconds that it takes to copy folios, and put it on the links."""
        pages = self.memory.folios.pages[folios]
        for nid, size in zip(*_sums(from_nid, pages), strict=True):
            self.traffic.copied(nid, to_nid, size * PAGE_BYTES)
        sizes, counts = np.unique(pages, return_counts=True)
        orders = np.log2(sizes).astype(int).tolist()
        each = zip(orders, counts.tolist(), strict=True)
        return sum(self.costs.move_us(order) * count for order, count in each) * 1e-6

    def unreachable(self, folios: Folios, seconds: float, parts: int = 1) -> None:
        """Have threads wait that touch one of `folios` while these are under way.

        All take `seconds`, in `parts` of which one after the other is under way.
        """
        each = seconds / parts
        for region, places in self.by_region(folios):
            for flow in region.flows:
                share = float(flow.weights[folios[places] - region.first].sum()) / parts
                for group in self.groups:
                    if group.flow is flow and group.running:
                        hits = share / (group.cost_ns * 1e-9) * each
                        wait = seconds * _waited(hits) * group.threads
                        group.debt_s += wait
                        self.spend("waiting", wait)

    # The run.

    def run(self, progress: Callable[[float, float], None] | None = None) -> None:
        """Run until all threads that have an end have ended, or the scenario's end."""
        for _ in self.steps():
            if progress:
                progress(self.now, self._expected_end(self._limit))

    def steps(self) -> Iterator[None]:
        """Run likewise, and come back after each step."""
        self._begin()
        while not self._done() and self.now < self._limit:
            self._step(min(self.agenda.next, self._limit))
            self.agenda.run(self.now)
            for check in self.after_step:
                check(self.now)
            yield
        self.account.row(self.now)

    def start_group(self, group: Group) -> None:
        """Start threads; the first of a region allocate it."""
        if not group.region.allocated:
            self._allocate(group)
        group.running = True
        if group.table.end_s is not None:
            self.agenda.at(group.table.end_s, partial(self._end, group))

    def _begin(self) -> None:
        for group in self.groups:
            if group.table.start_s > 0:
                self.agenda.at(group.table.start_s, partial(self._join, group))
            else:
                self.start_group(group)
        for event in self.scenario.event:
            self.agenda.at(event.at_s, partial(self._happen, event))
        self._new_heat()
        self.agenda.at(self.account.every_s, self._row)

    def _happen(self, event: EventTable, _time: float) -> None:
        if event.do == "add_node" and event.node is not None:
            self.memory.online(event.node)
        for told in self.on_event:
            told(event)

    def _join(self, group: Group, _time: float) -> None:
        self.start_group(group)
        self._new_heat()

    def _row(self, time: float) -> None:
        self.account.row(self.now)
        self.agenda.at(time + self.account.every_s, self._row)

    def _step(self, until: float) -> None:
        running = [group for group in self.groups if group.running]
        length = min(until - self.now, self.tick_s if self._watched else IDLE_STEP_S)
        length = self._set_costs(running, length)
        start, end = self.now, self.now + length
        flows: dict[str, StreamCursor] = {group.flow.name: group.flow for group in running}
        steps: list[GroupStep] = []
        for flow in flows.values():
            steps += self._advance(flow, running, start, length)
        self.now = end
        self.traffic.passed(length)
        for watcher in self.watchers:
            watcher.watch(steps, start, end)
        for group in running:
            if group.left <= 0 or group.flow.ended:
                self._end(group)

    def _set_costs(self, running: list[Group], length: float) -> float:
        """Find what an access of each group costs now; how long that holds."""
        if not all(group.cost_ns for group in running):
            self._solve(running, length)  # only now is it known how far they come
        self._solve(running, length)
        for group in running:
            length = min(length, group.ends_in())
            flow = group.flow
            stop = min(flow.stream.next_change(), flow.stream.end_clock)
            if flow.schedule is None and stop < inf:
                length = min(length, max(stop - flow.clock, 0) / _pace(flow, running))
        return max(length, 0.0)

    def _solve(self, running: list[Group], length: float) -> None:
        """Take the pages that each stream is about to access for where its accesses go."""
        shares = []
        for group in running:
            flow = group.flow
            ahead = max(min(length * _pace(flow, running), flow.due(self.now + length)), 1.0)
            own = flow.stream.shares(flow.clock, flow.clock + ahead)
            shares.append(own if self.served_by is None else self._all_on(self.served_by(group)))
        for group, cost in zip(running, self.traffic.costs(running, shares, length), strict=True):
            group.cost_ns = cost

    def _advance(
        self, flow: StreamCursor, running: list[Group], start: float, length: float
    ) -> list[GroupStep]:
        groups = [group for group in running if group.flow is flow]
        due, threads = flow.due(start + length), sum(group.threads for group in groups)
        made = [group.work(length, due * group.threads / max(threads, 1)) for group in groups]
        before, after = flow.clock, flow.clock + sum(made)
        shares = flow.stream.shares(before, after)
        if self.served_by is not None:
            shares = self._all_on(self.served_by(groups[0]))
        top = float(shares @ self.memory.on_top[: len(shares)])
        self.account.accesses(after - before, (after - before) * top)
        if self.on_faults:
            self._fault(flow, groups, made, before, after, start, length)
        flow.advanced(start + length, after)
        change = flow.stream.next_change()
        if after >= change * (1 - 1e-12):
            flow.change()
            self._new_heat()
        return [GroupStep(group, before, after, n) for group, n in zip(groups, made, strict=True)]

    def _all_on(self, nid: int) -> npt.NDArray[np.float64]:
        shares = np.zeros(len(self.memory.on_top) - 1)
        shares[nid] = 1.0
        return shares

    def _fault(
        self,
        flow: StreamCursor,
        groups: list[Group],
        made: list[float],
        before: float,
        after: float,
        start: float,
        length: float,
    ) -> None:
        touched = flow.stream.advance(before, after)
        if not len(touched.folios) or self.on_faults is None:
            return
        region = groups[0].region
        for other in region.flows:
            if other is not flow:
                other.stream.end_prot_none(touched.folios)
        self.prot_none[touched.folios + region.first] = False
        times = start + (touched.clocks - before) / (after - before) * length
        nodes = np.array([group.table.node for group in groups], np.int16)
        if len(groups) > 1:
            shares = np.array(made) / sum(made)
            nids = nodes[np.searchsorted(np.cumsum(shares), self.rng.random(len(times)))]
        else:
            nids = np.full(len(times), nodes[0])
        seconds = len(times) * self.costs.hint_fault_us * 1e-6
        self.owe(flow, seconds)
        self.spend("hint faults", seconds)
        self.account.total["hint_faults"] += len(times)
        self.on_faults(FaultArrays(touched.folios + region.first, times, nids))

    def _moved(self, folios: Folios, from_nid: npt.NDArray[np.int16], to_nid: int) -> None:
        self.account.moved(folios, from_nid, to_nid, self.now)
        self.prot_none[folios] = False
        for region, places in self.by_region(folios):
            local = folios[places] - region.first
            for flow in region.flows:
                flow.stream.end_prot_none(local)  # mapped anew
                flow.stream.moved(local, from_nid[places], to_nid)

    def _new_heat(self) -> None:
        if not any(group.running for group in self.groups):
            return
        folios = self.memory.folios
        self.account.hot_set(hottest(self.heat(), folios.pages), self.now)
        for told in self.on_new_heat:
            told(self.now)

    def _end(self, group: Group, _time: float = 0.0) -> None:
        if group.running:
            group.running = False
            group.ended_s = self.now
            self._new_heat()

    def _done(self) -> bool:
        counted = [group for group in self.groups if group.ends]
        return bool(counted) and all(group.ended_s is not None for group in counted)

    def _expected_end(self, limit: float) -> float:
        ends = [
            self.now + group.ends_in()
            for group in self.groups
            if group.running and group.left < inf and group.cost_ns
        ]
        return min(max(ends, default=limit), limit)

    @property
    def _watched(self) -> bool:
        return bool(self.watchers) or self.on_faults is not None

    def _allocate(self, group: Group) -> None:
        """A group's region its frames, where the scenario or the policy wants them."""
        region = group.region
        table = next(t for t in self.scenario.region if t.name == region.name)
        place, interleave = tuple(table.place), table.interleave
        if self.place_of:
            place, interleave = self.place_of(table.name, place)
        allocate(self.memory, region, place, interleave=interleave)
        for told in self.on_allocated:
            told(region.everything, self.now)
        for flow in region.flows:
            flow.stream.place(self.memory.folios.nid[region.rows])


def _pace(flow: StreamCursor, running: list[Group]) -> float:
    """The accesses a second of a flow, all its threads together; 0 where not known."""
    groups = [group for group in running if group.flow is flow and group.cost_ns]
    return sum(group.threads / (group.cost_ns * 1e-9) for group in groups)


def _waited(hits: float) -> float:
    """The share of a time span that a thread waits, if it hits `hits` times in it.

    The first hit of a Poisson process blocks until the end: 1 - (1 - exp(-h)) / h.
    """
    return 1 - (1 - exp(-hits)) / hits if hits > 1e-6 else hits / 2


def _sums(
    nids: npt.NDArray[np.int16], pages: npt.NDArray[np.int32]
) -> tuple[list[int], list[int]]:
    sums = np.bincount(nids, weights=pages)
    present = np.flatnonzero(sums)
    return present.tolist(), sums[present].astype(np.int64).tolist()
