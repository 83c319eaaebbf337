"""When the kernel's scan for hint faults last passed over addresses, and the latency of a fault.

The kernel keeps that time in the page (numa_hint_fault_latency() of kernel/sched/fair.c) and
tells nobody; `sources.prot_none` sees each step of the scan.  A page that is prot_none
already is passed over by the next ones (mm/mprotect.c, change_pte_range()), so what counts is
the first scan since the page's last fault: how many scans an address had seen by then is
kept for each page, in four bits.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.fault_latency import UNKNOWN
from pghot.engine.nibbles import Nibbles
from pghot.sources.prot_none import Ends, Ranges

I64Array = npt.NDArray[np.int64]

CHUNK_SHIFT = 21
"""Addresses in steps of 2 MiB: a step of the scan ends there, or with its VMA."""

KEPT = 8
"""Times that are kept of a chunk; a page that slept longer is as cold as that."""

FORGET_NS = 300_000_000_000
"""A chunk that no scan passed over for so long (five minutes) is forgotten."""

MOST_US = (1 << 31) - 1
_PID_SHIFT = 64 - CHUNK_SHIFT - 7
"""Chunks of 57 bits of address, pids above them."""
_NS_PER_US = 1000
_COUNTS = 15
"""Counts of scans that a page's four bits tell apart; 0 is a page that never faulted.

One that slept through more scans than that has one of the last KEPT for its own, or the oldest.
"""


class ScannedFaults(NamedTuple):
    """Hint faults in time order: the process, the address, ns, and the page's index."""

    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]
    time_ns: npt.NDArray[np.uint64]
    page_index: I64Array


class _Step(NamedTuple):
    """A step under way: when it began, its chunks' rows, and where their times went."""

    began_ns: int
    rows: list[int]
    at: I64Array


class ScanTimes:
    """The last KEPT times of each chunk of each process, and how many there were."""

    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._times = np.zeros((64, KEPT), np.int64)
        self._count = np.zeros(64, np.int64)
        self._faulted_at = Nibbles()
        self._forgotten_ns = 0
        self._steps: dict[int, deque[_Step]] = {}
        self._lost_ns = -1

    def scanned(self, ranges: Ranges, ends: Ends) -> None:
        """Take in steps of the scan, and where they ended, each in time order.

        A step passes over its range evenly; until its end is known its pages count as passed
        over when it began.
        """
        for time_ns, tid, pid, start, end in zip(*(c.tolist() for c in ranges), strict=True):
            first, last = start >> CHUNK_SHIFT, max(end - 1, start) >> CHUNK_SHIFT
            rows = [self._row_of(pid << _PID_SHIFT | c) for c in range(first, last + 1)]
            at = self._count[rows] % KEPT
            self._times[rows, at] = time_ns
            self._count[rows] += 1
            self._steps.setdefault(tid, deque(maxlen=KEPT)).append(_Step(time_ns, rows, at))
        for time_ns, tid in zip(ends.time_ns.tolist(), ends.tid.tolist(), strict=True):
            self._ended(time_ns, tid)
        if len(ranges.time_ns):
            self._forget(int(ranges.time_ns[-1]))

    def lost(self, time_ns: int) -> None:
        """Take in that faults up to then were lost: of whom nobody knows."""
        self._lost_ns = time_ns

    def _ended(self, time_ns: int, tid: int) -> None:
        """Spread a step over the time that it took; one whose end was lost stays as it is."""
        steps = self._steps.get(tid, deque())
        while steps and steps[0].began_ns <= time_ns:
            step = steps.popleft()
            if not steps or steps[0].began_ns > time_ns:
                share = np.arange(len(step.rows)) / len(step.rows)
                took = (share * (time_ns - step.began_ns)).astype(np.int64)
                self._times[step.rows, step.at] = step.began_ns + took
        if not steps:
            self._steps.pop(tid, None)

    def latency_us(self, faults: ScannedFaults) -> npt.NDArray[np.int32]:
        """Microseconds from the scan that caught each page to its fault; UNKNOWN where not seen.

        And remember that they faulted.
        """
        latency = np.full(len(faults.pid), UNKNOWN, np.int32)
        rows = self._rows(faults)
        known = np.flatnonzero(rows >= 0)
        if not len(known):
            return latency
        rows, indices = rows[known], faults.page_index[known]
        times = faults.time_ns[known].astype(np.int64)
        newer = np.count_nonzero(self._times[rows] > times[:, None], axis=1)
        by_then = self._count[rows] - newer
        caught = self._caught_by(rows, by_then, indices)
        # Where it may have faulted in between, and that was lost, nothing is known.
        doubtful = (self._times[rows, caught % KEPT] <= self._lost_ns) & (caught < by_then - 1)
        at: I64Array = self._times[rows, caught % KEPT]
        seen = (by_then > 0) & (at <= times) & ~doubtful
        us = np.minimum((times - at) // _NS_PER_US, MOST_US).astype(np.int32)
        latency[known] = np.where(seen, us, UNKNOWN)
        self._faulted_at.set(indices, (by_then % _COUNTS + 1).astype(np.uint8))
        return latency

    def _caught_by(self, rows: I64Array, by_then: I64Array, indices: I64Array) -> I64Array:
        """The number, from 0, of the scan that caught each page."""
        faulted_at = self._faulted_at.get(indices).astype(np.int64)
        since = (by_then - (faulted_at - 1)) % _COUNTS  # scans since its last fault
        since = np.where(faulted_at == 0, by_then, since)
        oldest = np.maximum(self._count[rows] - KEPT, 0)
        number: I64Array = np.maximum(by_then - np.maximum(since, 1), oldest)
        return number

    def _rows(self, faults: ScannedFaults) -> I64Array:
        """The row of each fault's chunk, -1 where no scan was seen there."""
        chunks = (faults.vaddr >> np.uint64(CHUNK_SHIFT)).astype(np.int64)
        keys, at = np.unique(
            faults.pid.astype(np.int64) << _PID_SHIFT | chunks, return_inverse=True
        )
        rows = np.array([self._row.get(key, -1) for key in keys.tolist()], np.int64)
        found: I64Array = rows[at]
        return found

    def _row_of(self, key: int) -> int:
        row = self._row.get(key)
        if row is None:
            row = self._row[key] = len(self._row)
            if row == len(self._count):
                self._times = np.concatenate([self._times, np.zeros_like(self._times)])
                self._count = np.concatenate([self._count, np.zeros_like(self._count)])
        return row

    def _forget(self, now_ns: int) -> None:
        """Let go, now and then, of chunks that are scanned no more."""
        if now_ns < self._forgotten_ns + FORGET_NS:
            return
        self._forgotten_ns = now_ns
        kept = {key: row for key, row in self._row.items() if self._last(row) > now_ns - FORGET_NS}
        rows = list(kept.values())
        room = max(len(rows), 64)
        times, count = np.zeros((room, KEPT), np.int64), np.zeros(room, np.int64)
        times[: len(rows)], count[: len(rows)] = self._times[rows], self._count[rows]
        self._times, self._count = times, count
        self._row = {key: row for row, key in enumerate(kept)}
        self._steps.clear()  # their rows are others now

    def _last(self, row: int) -> int:
        return int(self._times[row, (self._count[row] - 1) % KEPT])
