"""The engine as one object: hot maps, recorder, one kmigrated a lower-tier node, counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from errno import EINVAL

import numpy as np
import numpy.typing as npt

from pghot.engine import access_outcomes, counts, reasons, recorder, throttle_state
from pghot.engine.ageing import Ageing
from pghot.engine.fast_path import RecordRules
from pghot.engine.fault_latency import FaultLatency
from pghot.engine.fidelity import V7, Fidelity
from pghot.engine.hotmap import HotMap
from pghot.engine.kmigrated import Kmigrated
from pghot.engine.last_nids import LastNids
from pghot.engine.layout import DEFAULT, Layout, Rules
from pghot.engine.memory import Memory
from pghot.engine.migrated import Batch, Migrated
from pghot.engine.outcome_observer import EngineObserver
from pghot.engine.tunables import NUMA_BALANCING_MEMORY_TIERING, Tunables
from pghot.engine.units import (
    HZ_RANGE,
    NID_MAX,
    NUMA_NO_NODE,
    PAGES_PER_SECTION,
    USEC_PER_SEC,
    jiffies_to_msecs,
)
from pghot.engine.vmstat import RECORDED_ACCESSES, RECORDED_BY, Vmstat


class Engine:
    """The series without its sources: records, kmigrated and throttle over a `Memory`.

    Time is jiffies, and an argument everywhere; it must not go backwards.  One thread at a
    time may call in: records are updated with plain stores (R1.12).

    `hz` is jiffies a second.  `tiering` False stands for a kernel that was built without
    NUMA_BALANCING_TIERING.  Nothing is recorded before `start`.
    """

    def __init__(
        self,
        memory: Memory,
        layout: Layout = DEFAULT,
        *,
        hz: int = 1000,
        fidelity: Fidelity = V7,
        tiering: bool = True,
    ) -> None:
        if hz not in HZ_RANGE:
            raise ValueError(f"hz {hz} is not within {HZ_RANGE.start}..{HZ_RANGE.stop - 1}")
        self.memory = memory
        self.layout = layout
        self.hz = hz
        self.fidelity = fidelity
        self.tunables = Tunables(memory, layout, hz, fidelity, tiering=tiering)
        self.hot_map = HotMap(memory.mem_map, layout)
        self.pgdat = throttle_state.make_pgdat()
        self.vmstat = Vmstat(self.pgdat)
        self._recorder = recorder.Recorder(memory, self.hot_map, self.vmstat)
        self.activate: npt.NDArray[np.uint8] = self._recorder.nodes.activate
        self.kmigrated: dict[int, Kmigrated] = {}
        """The running kmigrated by node id, ascending."""
        self.refused: Counter[str] = Counter()
        """Ready folios that did not move, by the names of `reasons.CANDIDATE`."""
        self.memcg_promoted: Counter[int] = Counter()
        """Pages promoted by memcg."""
        self.fault_latency = FaultLatency(hz)
        """What judges hint faults whose latency is known; `improved` alone asks it."""
        self.last_nids = LastNids()
        """Where pages were accessed from last; `improved` alone asks it."""
        self._chooses = False
        self.observer: EngineObserver | None = None
        """Who is told what becomes of accesses and candidates."""
        self._started = False
        self._rules = self._rules_now()
        self._table = self.layout.table(self._rules)
        self._ageing = Ageing(self.hot_map, self._rules.window)
        self.nodes_changed()

    @property
    def accesses_on_toptier(self) -> int:
        """Accesses, of all that were offered, whose page was on a top-tier node."""
        return self._recorder.on_toptier

    @property
    def accesses_born_on_toptier(self) -> int:
        """How many of them would have been had no page ever moved."""
        return self._recorder.initially_on_toptier

    def start(self) -> None:
        """Boot: hot maps for the lower tier's sections, kmigrated for its nodes.

        MemoryError where there is no memory for the hot maps; nothing is started then.
        """
        self.hot_map.setup(self.memory)
        for nid in self.memory.nodes():
            self._run_kmigrated(nid)
        self._started = True

    def write(self, name: str, text: str, now: int = 0) -> None:
        """Write a tunable as `echo TEXT > FILE` would; TunableError where it is refused.

        Switching `numa_balancing` to memory tiering resets the throttle (patch 5).
        """
        before = self.tunables["numa_balancing"]
        self.tunables.write(name, text)
        switched = self.tunables["numa_balancing"] & ~before & NUMA_BALANCING_MEMORY_TIERING
        if switched:
            throttle_state.reset(self.pgdat, jiffies_to_msecs(now, self.hz))
        if self._rules != (rules := self._rules_now()):
            self._rules = rules
            self._table = self.layout.table(self._rules)
            if self.fidelity.expire_records:
                self._ageing.advance(now, rules.window)

    def record(self, pfn: int, nid: int, source: int, now: int) -> int:
        """Record one access at `now` jiffies: pghot_record_access(), 0 or -EINVAL.

        `nid` is the node of the CPU, -1 where it is not known.
        """
        return -EINVAL if self.record_many(pfn, nid, source, now) else 0

    def record_many(
        self,
        pfn: npt.ArrayLike,
        nid: npt.ArrayLike,
        source: npt.ArrayLike,
        now: npt.ArrayLike,
        latency_us: npt.NDArray[np.int32] | None = None,
        count: npt.ArrayLike | None = None,
    ) -> int:
        """Record accesses in time order; how many were refused with EINVAL.

        Arrays of one length, or scalars that stand for every row: `pfn`, `nid` as in
        `record`, `source` (0 hint faults, 1 hardware hints), `now` in jiffies.  `latency_us`
        is a hint fault's, `fault_latency.UNKNOWN` where it is not known; v7 has no use for it.
        `count` is how many accesses each row stands for (`record_accesses`), 1 unless given.
        """
        if not self._started:  # R2.1
            return 0
        accesses = recorder.as_accesses(pfn, nid, source, now)
        refused = self._recorder.refused
        if not self.fidelity.fault_latency:
            latency_us = None
        if count is not None or latency_us is not None:
            accesses = self._weighed(accesses, latency_us, 1 if count is None else count)
        recorded = accesses
        if self.fidelity.nearest_target and self.layout.nid_width:
            recorded = self._without_low_cpus(accesses)
        for rows in self._between_sweeps(recorded.now):
            self._record_rows(_rows(recorded, rows))
        if self._chooses:
            self._remember(accesses)
        return self._recorder.refused - refused

    def record_accesses(self, pfn: int, nid: int, source: int, nr: int, now: int) -> int:
        """Record `nr` accesses to a page at once: 0 or -EINVAL, also where `nr` is 0 (R2.10).

        What a unit reports that counts accesses itself.
        """
        return -EINVAL if self.record_many(pfn, nid, source, now, count=nr) else 0

    def record_range(self, pfn: int, pages: int, nid: int, source: int, nr: int, now: int) -> int:
        """Record `nr` accesses to each folio of `pages` pages from `pfn` on (R2.11).

        Gives the folios recorded, or -EINVAL; the source is counted once.
        """
        if not self._started:
            return 0
        one = recorder.as_accesses(pfn, nid, source, now)
        found = access_outcomes.verdicts(one, self._recorder.nodes, self._record_rules())[0]
        if found in (reasons.BAD_NODE, reasons.BAD_SOURCE) or nr < 1 or pages < 1:
            self._recorder.refused += 1
            return -EINVAL
        if found != reasons.RECORDED:
            return 0
        events = self.vmstat.events
        before, taken = events[RECORDED_ACCESSES], events[RECORDED_BY + source] + 1
        folios = counts.folios_in(self.memory.mem_map, pfn, pages)
        self.record_many(folios, nid, source, now, count=nr)
        events[RECORDED_BY + source] = taken
        return int(events[RECORDED_ACCESSES] - before) // min(nr, self.layout.freq_max)

    def look(self, now: int) -> Iterator[Batch]:
        """Let every kmigrated, in node order, wake and look at its activate flag.

        Gives each batch once it was tried; what is not asked for does not happen.
        """
        for migrated in self.migrations(now):
            yield from migrated

    def migrations(self, now: int) -> Iterator[Migrated]:
        """Do what `look` does, and give batches as they come, many at once."""
        self.hot_map.follow()
        if self.fidelity.expire_records:
            self._ageing.advance(now, self._rules.window)
        for kmigrated in list(self.kmigrated.values()):
            yield from kmigrated.look(now)

    @property
    def found(self) -> int:
        """Folios that were found hot so far, on all nodes."""
        return sum(kmigrated.found for kmigrated in self.kmigrated.values())

    @property
    def sleep_ms(self) -> int:
        """Milliseconds that kmigrated sleeps between two looks."""
        return max(self.tunables["kmigrated_sleep_ms"], self.fidelity.least_sleep_ms)

    @property
    def wake_us(self) -> int:
        """Microseconds between two wake-ups: kmigrated's sleep, a tick where it has none."""
        return self.sleep_ms * 1000 or USEC_PER_SEC // self.hz

    @property
    def work_requested(self) -> bool:
        """Whether some kmigrated would work at its next wake-up."""
        return any(kmigrated.work_requested for kmigrated in self.kmigrated.values())

    def memory_going_online(self, start_pfn: int, pages: int) -> int:
        """Take in memory that comes online (MEM_GOING_ONLINE): 0 or -ENOMEM.

        In the series a node that had none before gets no kmigrated: it records and never
        promotes (defect 4).  In v8 memory of the top tier gets no hot maps (R12.4).
        """
        self.nodes_changed()
        if self.fidelity.lower_maps_only and self.hot_map.on_toptier(self.memory, start_pfn):
            return 0
        status = self.hot_map.going_online(start_pfn, pages)
        if self.fidelity.follow_hotplug and not status:
            self._run_kmigrated(self.memory.mem_map.folio_nid(start_pfn))
        return status

    def memory_offline(self, start_pfn: int, pages: int) -> None:
        """Let go of memory that went offline, or whose coming online was cancelled."""
        self.hot_map.offline(start_pfn, pages)
        self.nodes_changed()

    def nodes_changed(self) -> None:
        """Read again which nodes are online and which are top tier."""
        self._recorder.nodes_changed()
        # With one slow node and one fast one there is nothing to choose.
        self._chooses = self.fidelity.nearest_target and len(self.memory.nodes()) > 2
        if self._chooses:
            self.last_nids.grow(self._lower_tier_pages())

    def _lower_tier_pages(self) -> int:
        """Pages of whole sections, which a log has as well: a replay forgets what the run did."""
        slots_of = self.memory.mem_map.slots_of_node
        lower = [nid for nid in self.memory.nodes() if not self.memory.node_is_toptier(nid)]
        return PAGES_PER_SECTION * sum(len(slots_of(nid)) for nid in lower)

    def _run_kmigrated(self, nid: int) -> None:
        if not self.memory.node_is_toptier(nid) and nid not in self.kmigrated:
            self.kmigrated[nid] = Kmigrated(self, nid)
            self.kmigrated = dict(sorted(self.kmigrated.items()))

    def _rules_now(self) -> Rules:
        return Rules.of(
            self.tunables["pghot_promote_freq_window_ms"],
            self.tunables["freq_threshold"],
            self.hz,
            ready_stays=not self.fidelity.ready_anew,
        )

    def _between_sweeps(self, now: npt.NDArray[np.uint64]) -> Iterator[slice]:
        """Split rows where records are due to be cleared, and clear them there."""
        if not self.fidelity.expire_records:
            yield slice(0, len(now))
            return
        at = 0
        while at < len(now):
            self._ageing.advance(int(now[at]), self._rules.window)
            end = int(np.searchsorted(now, np.uint64(self._ageing.due)))
            yield slice(at, end)
            at = end

    def _weighed(
        self,
        accesses: recorder.Accesses,
        latency_us: npt.NDArray[np.int32] | None,
        count: npt.ArrayLike,
    ) -> recorder.Accesses:
        """Each access as many times in a row as it counts (R2.10), its source once."""
        count = np.broadcast_to(np.asarray(count), accesses.pfn.shape)
        some = np.flatnonzero(count > 0)
        if len(some) < len(count):
            self._recorder.refused += len(count) - len(some)
            accesses, count = self._chosen(accesses, some), count[some]
            latency_us = None if latency_us is None else latency_us[some]
        times = np.ones(len(count), np.int64)
        more = np.flatnonzero(count > 1)
        if len(more):
            more = more[self._can_count(_rows(accesses, more))]
            times[more] = counts.times(count[more], self.layout.freq_max)
        if latency_us is not None:
            self._by_latency(accesses, latency_us, times)
        if (times == 1).all():
            return accesses
        self._recorder.count_apart(accesses, times)
        return self._chosen(accesses, np.repeat(np.arange(len(times)), times))

    def _chosen(
        self, accesses: recorder.Accesses, rows: npt.NDArray[np.intp]
    ) -> recorder.Accesses:
        if self.observer is not None:
            self.observer.chosen(rows)
        return _rows(accesses, rows)

    def _remember(self, accesses: recorder.Accesses) -> None:
        """Remember where ready pages were accessed from: it settles where they are promoted to."""
        mem_map, toptier = self.memory.mem_map, self._recorder.nodes.toptier
        of_page = mem_map.nids_of(accesses.pfn)
        slow = np.flatnonzero((of_page >= 0) & (toptier[np.maximum(of_page, 0)] == 0))
        heads = mem_map.indices(mem_map.known(accesses.pfn[slow]).head)
        ready = self.hot_map.is_ready(heads)
        if ready.any():
            self.last_nids.remember(heads[ready], accesses.nid[slow[ready]])

    def _without_low_cpus(self, accesses: recorder.Accesses) -> recorder.Accesses:
        """Say -1 for CPUs on no online top-tier node, which R2.2 refuses in precision mode.

        Not where it is the page's own node: that access is none to promote for (R2.5).  A node
        that went offline since is no error: the page was accessed all the same.
        """
        nids, nodes = accesses.nid, self._recorder.nodes
        known = (nids >= 0) & (nids <= NID_MAX)
        usable = nodes.toptier & nodes.online
        low = np.flatnonzero(known & (usable[np.where(known, nids, 0)] == 0))
        if not len(low):
            return accesses
        low = low[self.memory.mem_map.nids_of(accesses.pfn[low]) != nids[low]]
        nids = nids.copy()
        nids[low] = NUMA_NO_NODE
        return accesses._replace(nid=nids)

    def _can_count(self, accesses: recorder.Accesses) -> npt.NDArray[np.bool_]:
        """Which rows are taken and of a page that there is: only those are counted anew."""
        found = access_outcomes.verdicts(accesses, self._recorder.nodes, self._record_rules())
        there = self.memory.mem_map.indices(accesses.pfn) >= 0
        return (found == reasons.RECORDED) & there

    def _by_latency(
        self,
        accesses: recorder.Accesses,
        latency_us: npt.NDArray[np.int32],
        times: npt.NDArray[np.int64],
    ) -> None:
        """Leave out faults that came too late; one that came soon makes its page ready.

        It counts as accesses up to the threshold: each of them recorded, the source once.
        """
        mem_map = self.memory.mem_map
        known = np.flatnonzero(latency_us >= 0)
        known = known[self._can_count(_rows(accesses, known))]
        if not len(known):
            return
        folios = mem_map.known(accesses.pfn[known])
        hot = self.fault_latency.judge(
            mem_map.indices(folios.head), latency_us[known], accesses.now[known], folios.pages
        )
        times[known] = np.where(hot, self.tunables["freq_threshold"], 0)

    def _record_rules(self) -> RecordRules:
        return RecordRules(
            self._table,
            self.tunables["enabled_sources"],
            self.tunables["target_nid"],
            self._rules.window,
            self._rules.ready_stays,
        )

    def _record_rows(self, accesses: recorder.Accesses) -> None:
        rules = self._record_rules()
        if self.observer is not None and len(accesses.pfn):
            foreseen = access_outcomes.foresee(
                accesses, self.memory.mem_map, self.hot_map, self._recorder.nodes, rules
            )
            self.observer.recorded(foreseen)
        self._recorder.record(accesses, rules)


def _rows(accesses: recorder.Accesses, rows: slice | npt.NDArray[np.intp]) -> recorder.Accesses:
    return recorder.Accesses(
        accesses.pfn[rows], accesses.nid[rows], accesses.source[rows], accesses.now[rows]
    )
