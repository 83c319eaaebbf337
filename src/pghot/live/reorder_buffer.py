"""Samples of all sources as the rows of an access log, in time order, up to an instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pghot.engine.fault_latency import UNKNOWN
from pghot.engine.recorder import PGHOT_HINTFAULTS
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.perf.arrays import EXEC, EXIT, FORK
from pghot.linux.processes.targets import Targets
from pghot.live.evidence import ServedSamples
from pghot.live.machine import HostMachine
from pghot.live.scan_times import ScannedFaults, ScanTimes
from pghot.log.schema import DTYPES, REQUIRED, SOURCES, Columns
from pghot.sources import hardware
from pghot.sources.live_source import LiveSource, Samples
from pghot.sources.prot_none import ProtNone

LOGGED = ("pid", "vaddr", "cpu", "write", "latency_us")
"""Optional columns of the rows made here."""

NS_PER_US = 1000


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
        self._page_bits = np.uint64((machine.topology.page_size - 1) ^ ((1 << PAGE_SHIFT) - 1))
        self._page_shift = np.uint64(machine.topology.page_size.bit_length() - 1 - PAGE_SHIFT)
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
                self._hold(source, samples)
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
        rows = _joined([no_rows(self._columns), *self._held])
        time = rows["time_us"]
        late = time <= np.uint64(self._given_us)
        if self._given_us and late.any():
            self.late += int(np.count_nonzero(late))
            time[late] = self._given_us + 1
        rows = _taken(rows, np.argsort(time, kind="stable"))
        end = int(np.searchsorted(rows["time_us"], np.uint64(instant), side="right"))
        self._held = [_taken(rows, slice(end, None))]
        self._given_us = instant
        return _taken(rows, slice(end))

    def _hold(self, taken_from: LiveSource, samples: Samples) -> None:
        source = SOURCES[taken_from.reports_as]
        ours = self._targets.contains(samples.pid)
        pfn = (samples.pfn << self._page_shift) | (
            (samples.vaddr & self._page_bits) >> np.uint64(PAGE_SHIFT)
        )
        nids = self._machine.nids_of(pfn)
        known = nids >= 0
        slow = ~self._machine.toptier[nids]
        wanted = slow | (source != PGHOT_HINTFAULTS)
        self.left_out["of other processes"] += int(np.count_nonzero(~ours))
        self.left_out["in no node's memory"] += int(np.count_nonzero(ours & ~known))
        self.left_out["on the top tier already"] += int(np.count_nonzero(ours & known & ~wanted))
        keep = np.flatnonzero(ours & known & wanted)
        if source == PGHOT_HINTFAULTS:
            self.hint_faults += len(keep)
        elif (
            taken_from.name == hardware.NAME and self._served is not None
        ):  # others may see one tier alone
            self._served.add(nids[keep], self._machine.toptier)
        if not len(keep):
            return
        time_ns = samples.time_ns[keep].astype(np.int64) - self._start_ns
        latency_us = np.full(len(keep), UNKNOWN, np.int32)
        if self._scans is not None and source == PGHOT_HINTFAULTS:
            latency_us = self._latencies(samples, pfn, keep)
        nr = samples.nr if samples.nr is not None else np.ones(len(ours), np.uint32)
        rows = {
            "time_us": (np.maximum(time_ns, 0) // NS_PER_US).astype(np.uint64),
            "pfn": pfn[keep],
            "nid": samples.nid[keep],
            "source": np.full(len(keep), source, np.int8),
            "pid": samples.pid[keep],
            "vaddr": samples.vaddr[keep],
            "cpu": samples.cpu[keep].astype(np.int16),
            "write": samples.write[keep],
            "latency_us": latency_us,
            "nr": nr[keep],
        }
        self._held.append({name: rows[name] for name in self._columns})

    def _take_scans(self, scans: ProtNone, source: LiveSource, samples: Samples) -> None:
        ranges, ends = scans.drain()
        self._scan_times.scanned(ranges, ends)
        self._marked += int(ends.pages[self._targets.contains(ends.pid)].sum())
        lost = source.counts.lost + scans.lost
        if lost > self._lost and len(samples.time_ns):
            self._lost = lost
            self._scan_times.lost(int(samples.time_ns[-1]))

    def _latencies(
        self, samples: Samples, pfn: npt.NDArray[np.uint64], keep: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.int32]:
        mem_map = self._machine.mem_map
        index = mem_map.indices(mem_map.known(pfn[keep]).head)
        faults = ScannedFaults(
            samples.pid[keep], samples.vaddr[keep], samples.time_ns[keep], index
        )
        return self._scan_times.latency_us(faults)


def _tasks(source: LiveSource) -> Iterator[tuple[int, int, int]]:
    """Kind, pid and parent of what became of tasks."""
    tasks = source.take_tasks()
    return zip(tasks.kind.tolist(), tasks.pid.tolist(), tasks.ppid.tolist(), strict=True)


def no_rows(columns: Sequence[str] = (*REQUIRED, *LOGGED)) -> Columns:
    """Columns of no row."""
    return {name: np.zeros(0, DTYPES[name]) for name in columns}


def _joined(pieces: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _taken(rows: Columns, which: slice | np.ndarray[tuple[int], np.dtype[np.intp]]) -> Columns:
    return {name: values[which] for name, values in rows.items()}
