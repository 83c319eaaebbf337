"""How a run stands, gathered once a second from what it is made of (docs/ctl.md)."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from pghot.driving.driver import Driver
from pghot.driving.run_state import (
    CallLatency,
    CallSeconds,
    HintFaultCost,
    HostFigures,
    LatencyThreshold,
    MoveCost,
    OwnerCounts,
    ProcessFigures,
    RegionFigures,
    RunNode,
    RunState,
    WatchedTargets,
)
from pghot.engine import reasons, summary
from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.linux.processes.procstat import read_stat
from pghot.live.hot_processes import REGION_SHIFT
from pghot.live.reorder_buffer import ReorderBuffer
from pghot.live.running import RunningEngine

SHOWN = 32
"""Processes, regions and targets that a state holds at the most."""

_NS_PER_S = 10**9


class States:
    """Makes the states of one run.  Processes and regions are in it where they are counted."""

    def __init__(self, running: RunningEngine, buffer: ReorderBuffer, driver: Driver) -> None:
        self._running, self._buffer, self._driver = running, buffer, driver
        self._started = time.time()

    def at(self, us: int, why: str = "") -> RunState:
        """The state `us` microseconds after the start; `why` says what ended the run."""
        running = self._running
        topology = running.machine.topology
        if why:
            running.evidence.mark(us)
        counted = summary.summary(
            running.engine,
            {node.id: running.machine.free_pages(node.id) for node in topology.nodes},
            batches=self._driver.batches,
            accesses=self._driver.rows,
            elapsed_us=self._driver.instant,
        )
        live = self._on_host(us, why)
        return RunState(
            **counted | {"nodes": self._nodes(counted["nodes"])},
            live=live,
            pid=os.getpid(),
            started=self._started,
            time=time.time(),
            page_size=topology.page_size,
            targets=self._targets(),
            refused={name: live.refused.get(name, 0) for name in reasons.LIVE},
            batch_seconds=self._call_seconds(),
            processes=self._processes(),
            regions=self._regions(),
        )

    def second(self) -> None:
        """Take in that a second has gone."""
        if self._running.tally is not None:
            self._running.tally.second()

    def _on_host(self, us: int, why: str) -> HostFigures:
        running, session = self._running, self._running.session
        engine, staying, trial = running.engine, running.staying, running.trial
        memcgs = {str(memcg): n for memcg, n in engine.memcg_promoted.items() if n}
        return HostFigures(
            fidelity=engine.fidelity.name,
            sources={source.name: replace(source.counts) for source in session.sources},
            chosen=session.choice.reason,
            found_hot=engine.found,
            promoted_pages=engine.vmstat["pgpromote_success"],
            refused=running.refused(),
            left_out=dict(self._buffer.left_out + running.metadata.left_out),
            late_rows=self._buffer.late,
            owners=OwnerCounts(kept=running.rmap.kept, let_go=running.rmap.let_go),
            memcg_promoted=memcgs,
            memcg_names=running.memcg_names(memcgs) if why else {},
            batch_latency=self._call_latency(),
            kernel_promoted_pages=running.kernel_promoted(),
            dry_run=running.options.dry_run,
            real_s=us / USEC_PER_SEC,
            cpu_s=running.cpu_s(),
            ended=why,
            lost_outputs=dict(running.losses.why),
            fault_latency=self._fault_latency(),
            hint_fault_cost=self._hint_fault_cost(),
            move_cost=self._move_cost(us),
            looked_at_after_a_minute=staying.looked_at,
            demoted_within_a_minute=staying.demoted,
            helps=running.evidence.helps(us),
            trial_progress=trial.progress if trial else "",
        )

    def _nodes(self, counted: dict[str, dict[str, int]]) -> dict[str, RunNode]:
        """Add to the figures of each node what it is; pages are of 4 KiB."""
        topology = self._running.machine.topology
        scale = topology.page_size >> PAGE_SHIFT
        found = {nid: one.found for nid, one in self._running.engine.kmigrated.items()}
        return {
            str(node.id): RunNode(
                **counted[str(node.id)],
                pages=sum(zone.present for zone in node.zones) * scale,
                toptier=node.toptier,
                rank=node.rank,
                cpus=list(node.cpus),
                found_hot=found.get(node.id, 0),
            )
            for node in topology.nodes
        }

    def _targets(self) -> WatchedTargets:
        session = self._running.session
        options, members = session.options, session.targets.members
        return WatchedTargets(
            pids=list(options.pids),
            everything=options.everything,
            cgroup=options.cgroup,
            command=list(options.command),
            count=len(members),
            members=sorted(members)[:SHOWN],
        )

    def _call_latency(self) -> CallLatency:
        budget = self._running.mover.budget
        figures: dict[str, Any] = budget.latencies.summary()
        return CallLatency(**figures, over_budget=budget.over)

    def _call_seconds(self) -> CallSeconds:
        latencies = self._running.mover.budget.latencies
        return CallSeconds(
            count=latencies.count,
            sum=latencies.sum_ns / _NS_PER_S,
            within=[(bound / _NS_PER_S, count) for bound, count in latencies.within()],
        )

    def _fault_latency(self) -> LatencyThreshold:
        faults = self._running.engine.fault_latency
        return LatencyThreshold(
            ready=faults.passed,
            not_ready=faults.over,
            threshold_us=faults.threshold_us,
            excess=faults.excess,
            flat=faults.flat,
        )

    def _hint_fault_cost(self) -> HintFaultCost | None:
        pacer = self._running.pacer
        if pacer is None:
            return None
        return HintFaultCost(
            faults=pacer.faults,
            share_of_targets_cpu=pacer.targets_share,
            scan_size_mb=int(pacer.pace.size_mb),
        )

    def _move_cost(self, us: int) -> MoveCost:
        spending = self._running.mover.spending
        spent_ns = spending.spent_ns if spending is not None else 0
        return MoveCost(share_of_a_cpu=spent_ns / max(us * 1000, 1))

    def _processes(self) -> list[ProcessFigures]:
        tally = self._running.tally
        return [] if tally is None else [
            ProcessFigures(
                pid=pid,
                name=self._name(pid),
                accesses=accesses,
                hot=asked.hot,
                promoted=asked.promoted,
            )
            for pid, accesses, asked in tally.processes(SHOWN)
        ]  # fmt: skip

    def _regions(self) -> list[RegionFigures]:
        tally = self._running.tally
        return [] if tally is None else [
            RegionFigures(
                pid=pid, start=start, end=start + (1 << REGION_SHIFT), accesses=accesses
            )
            for pid, start, accesses in tally.regions(SHOWN)
        ]  # fmt: skip

    def _name(self, pid: int) -> str:
        """A process's name, empty where it has gone."""
        stat = read_stat(self._running.session.host, pid)
        return "" if stat is None else stat.comm
