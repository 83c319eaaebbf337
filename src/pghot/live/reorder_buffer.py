"""Samples of all sources as the rows of an access log, in time order, up to an instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.fault_latency import UNKNOWN
from pghot.engine.recorder import PGHOT_HINTFAULTS
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.perf.arrays import EXEC, EXIT, FORK
from pghot.linux.processes.targets import Targets
from pghot.live.evidence import ServedSamples
from pghot.live.kept_rows import KeptRows, NodeLookup, keep_rows
from pghot.live.machine import HostMachine
from pghot.live.scan_times import ScannedFaults, ScanTimes
from pghot.log.schema import DTYPES, REQUIRED, SOURCES, Columns
from pghot.sources import hardware
from pghot.sources.live_source import LiveSource, Samples
from pghot.sources.prot_none import ProtNone

LOGGED = ("pid", "vaddr", "cpu", "write", "latency_us")
"""Optional columns of the rows made here."""

_KINDS = (np.uint64, np.int32, np.uint64, np.uint64, np.int16, np.int32, np.bool_)
"""Of the columns of `Samples`, in their order; but of `nr`."""


def logged(sources: Sequence[LiveSource]) -> tuple[str, ...]:
    """The optional columns of the rows that are made of these sources' samples."""
    return (*LOGGED, "nr") if any(source.counted for source in sources) else LOGGED


class ReorderBuffer:
    """Drains sources and holds rows back until the instant that they are due for.

    `start_ns` (CLOCK_MONOTONIC) is the rows' time 0.  `left_out` counts samples that make no
    row: of processes that are no targets, of memory that no node has, and first touches of
    the top tier, which its source cannot tell from hint faults.
    """

    def __init__(
        self,
        sources: Sequence[LiveSource],
        targets: Targets,
        machine: HostMachine,
        start_ns: int,
        scans: ProtNone | None = None,
        served: ServedSamples | None = None,
    ) -> None:
        """With `scans`, hint faults get the latency by which the kernel judges them.

        `served` is told which nodes served the hardware samples.
        """
        self._served = served
        self._scans = scans
        self._scan_times = ScanTimes()
        self._sources = sources
        self._columns = (*REQUIRED, *logged(sources))
        self._targets = targets
        self._machine = machine
        self._start_ns = start_ns
        self._page_shift = machine.topology.page_size.bit_length() - 1 - PAGE_SHIFT
        self._held: list[Columns] = []
        self._given_us = 0
        self._lost = self._lost_records = self._marked = 0
        self.left_out: Counter[str] = Counter()
        self.hint_faults = 0
        """Hint faults of targets on memory of a lower tier, first touches among them."""
        self.late = 0
        """Rows that came after their instant had gone; they count as just after it."""

    def drain(self) -> set[int]:
        """Take in what the sources have; give the pids whose memory is another since."""
        renewed: set[int] = set()
        exited: Counter[int] = Counter()
        for source in self._sources:
            samples = source.drain()
            if self._scans is not None:  # only now: a fault's scan was before it
                self._take_scans(self._scans, source, samples)
            for kind, pid, ppid in _tasks(source):
                if kind == FORK:
                    self._targets.forked(ppid, pid)
                elif kind == EXIT:
                    exited[pid] += 1
                elif kind == EXEC and self._targets.executed(pid):
                    renewed.add(pid)
            if len(samples.time_ns):
                self._hold(source, _as_declared(samples))
        lost = sum(source.counts.lost for source in self._sources)
        if lost > self._lost_records:
            self._lost_records = lost
            self._targets.lost()
        for pid, threads in exited.items():  # only now: what it accessed before is in the samples
            self._targets.exited(pid, threads)
        return renewed

    def take_marked(self) -> int:
        """The pages of targets that the scan has made prot_none since the last call."""
        marked, self._marked = self._marked, 0
        return marked

    def until(self, instant: int) -> Columns:
        """The rows with `time_us` up to `instant` that were not given before."""
        held = [*self._held] or [no_rows(self._columns)]
        rows = held[0] if len(held) == 1 else _joined(held)
        time = rows["time_us"]
        if self._given_us and len(time) and int(time.min()) <= self._given_us:
            late = time <= np.uint64(self._given_us)
            self.late += int(np.count_nonzero(late))
            time[late] = self._given_us + 1
        if not ascending(time):  # as a rule it is: drains follow each other, each in order
            rows = _taken(rows, np.argsort(time, kind="stable"))
        end = int(np.searchsorted(rows["time_us"], np.uint64(instant), side="right"))
        self._held = [_taken(rows, slice(end, None))] if end < len(time) else []
        self._given_us = instant
        return _taken(rows, slice(end))

    def _hold(self, taken_from: LiveSource, samples: Samples) -> None:
        source = SOURCES[taken_from.reports_as]
        by_faults = source == PGHOT_HINTFAULTS
        ours = self._targets.contains(samples.pid)
        mem_map, toptier = self._machine.mem_map, self._machine.toptier
        nodes = NodeLookup(mem_map.slot_of, mem_map.nid, toptier, self._page_shift)
        kept, counts = keep_rows(samples, ours, nodes, self._start_ns, only_slow=by_faults)
        self.left_out["of other processes"] += counts.of_others
        self.left_out["in no node's memory"] += counts.nowhere
        self.left_out["on the top tier already"] += counts.on_top
        if by_faults:
            self.hint_faults += counts.kept
        elif (
            taken_from.name == hardware.NAME and self._served is not None
        ):  # others may see one tier alone
            self._served.add(kept.home, toptier)
        if not counts.kept:
            return
        if self._scans is not None and by_faults:
            latency_us = self._latencies(samples, kept)
        else:
            latency_us = np.full(counts.kept, UNKNOWN, np.int32)
        rows: Columns = {
            "time_us": kept.time_us,
            "pfn": kept.pfn,
            "nid": kept.nid,
            "source": np.full(counts.kept, source, np.int8),
            "pid": kept.pid,
            "vaddr": kept.vaddr,
            "cpu": kept.cpu,
            "write": kept.write,
            "latency_us": latency_us,
        }
        if "nr" in self._columns:
            nr = samples.nr
            rows["nr"] = np.ones(counts.kept, np.uint32) if nr is None else nr[kept.sample]
        self._held.append(rows)

    def _take_scans(self, scans: ProtNone, source: LiveSource, samples: Samples) -> None:
        ranges, ends = scans.drain()
        self._scan_times.scanned(ranges, ends)
        self._marked += int(ends.pages[self._targets.contains(ends.pid)].sum())
        lost = source.counts.lost + scans.lost
        if lost > self._lost and len(samples.time_ns):
            self._lost = lost
            self._scan_times.lost(int(samples.time_ns[-1]))

    def _latencies(self, samples: Samples, kept: KeptRows) -> npt.NDArray[np.int32]:
        mem_map = self._machine.mem_map
        index = mem_map.indices(mem_map.known(kept.pfn).head)
        time_ns = samples.time_ns[kept.sample]
        return self._scan_times.latency_us(ScannedFaults(kept.pid, kept.vaddr, time_ns, index))


def _tasks(source: LiveSource) -> Iterator[tuple[int, int, int]]:
    """Kind, pid and parent of what became of tasks."""
    tasks = source.take_tasks()
    return zip(tasks.kind.tolist(), tasks.pid.tolist(), tasks.ppid.tolist(), strict=True)


def _as_declared(samples: Samples) -> Samples:
    """The same in arrays that loops take: a source of another package may give other kinds."""
    columns: Any = (*map(np.ascontiguousarray, samples, _KINDS), samples.nr)
    return Samples(*columns)


def ascending(values: npt.NDArray[np.uint64]) -> bool:
    """Whether no value is below the one before it."""
    return bool(np.all(values[1:] >= values[:-1]))


def no_rows(columns: Sequence[str] = (*REQUIRED, *LOGGED)) -> Columns:
    """Columns of no row."""
    return {name: np.zeros(0, DTYPES[name]) for name in columns}


def _joined(pieces: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _taken(rows: Columns, which: slice | np.ndarray[tuple[int], np.dtype[np.intp]]) -> Columns:
    return {name: values[which] for name, values in rows.items()}
