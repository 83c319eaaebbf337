"""NUMA balancing's scanner in memory tiering mode, for one process.

Kernel: kernel/sched/fair.c, task_tick_numa() and task_numa_work().  A step makes pages of
lower-tier nodes fault on their next access; it is due when the process has run for a period
of CPU time and the time of the next scan has come.

What is taken for granted:
- The process has one period and one clock of CPU time, that of an average running thread.
  In the kernel each thread has its own; the first whose turn comes does the step.  There a
  thread whose turn comes before the time of the next scan loses it, and another one's turn
  comes soon; here the turn is kept.
- A thread made by clone() starts with the period `scan_delay_ms`, whatever the size of the
  process, because its stamp is set (two ticks ahead, and some microseconds).  Only the first
  thread of a process, whose stamp is 0, goes over to task_scan_start() at its first turn,
  which without NUMA groups is the shortest period.  So eight GiB take 32 s in worker threads,
  and 3.2 s in a process of one thread.
- The first scan of worker threads may come `scan_delay_ms` after the first of them was made.
  A process that has made no thread since exec has no such time yet: its first turn sets it.
- Regions are mapped at multiples of 2 MiB with a gap between them, can be migrated, and were
  touched lately by some thread (else the kernel may pass over them for a while).  What else
  is mapped is left out; a stack above the regions would take a step of its own each pass.
- There are no NUMA groups: they come of shared faults, which tiering alone does not count.

The period changes only by faults that task_numa_fault() counts (`count_faults`).  Before
patch 5 it counts a promotion in the fault, for the node promoted to, as remote and private;
after a pass of nothing else the period doubles.  A fault that leaves its page on a lower tier
is not counted, not even as a failed migration.  With pghot a fault on a candidate goes to
pghot_record_access() and nowhere else, so the period stays what it is at the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.units import MSEC_PER_SEC
from pghot.simulated.numa.scan_period import (
    FaultCounts,
    PeriodLimits,
    ScanTunables,
    adapt,
    period_limits,
)

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i16, i64, u8
else:
    from pghot.engine.arrays import i16, i64, u8

HUGE_PAGES = 512
"""Pages of 2 MiB: the ends of what is looked at in one go are multiples of it."""

VIRTUAL_PAGES = 8
"""A step looks at no more than so many times its budget: task_numa_work(), virtpages."""

CAREFUL_SHARE = 32
"""A thread runs this many times what a step took before its next turn."""


class ScanStep(NamedTuple):
    """What a step found: folios to make prot_none, ascending within a region.

    `pte_updates` counts their pages (numa_pte_updates), `looked_at` all pages walked over;
    `passes` is how often the sequence rose.
    """

    folios: npt.NDArray[np.int64]
    pte_updates: int
    looked_at: int
    passes: int


@dataclass(slots=True)
class _Vma:
    first: int
    folios: int
    order: int
    next_scan_ms: float | None = None

    @property
    def pages(self) -> int:
        return self.folios << self.order


class NumaScanner:
    """The scan state of one process, and of its running threads as one.

    Times are ms of virtual time, CPU time in ms that an average running thread has run.
    `threads` run at once; `cloned` says that they were made by clone(), as all but the
    first thread of a process are.
    """

    def __init__(
        self,
        tunables: ScanTunables,
        *,
        now_ms: float = 0.0,
        threads: int = 1,
        cloned: bool = True,
        hz: int = MSEC_PER_SEC,
    ) -> None:
        self.tunables = tunables
        self.threads = threads
        self.sequence = 0
        self.period_ms = tunables.scan_delay_ms
        self.next_scan_ms: float | None = now_ms + tunables.scan_delay_ms if cloned else None
        self._tick_ms = MSEC_PER_SEC / hz
        self._stamp_ms = 2 * self._tick_ms if cloned else 0.0
        self._vmas: list[_Vma] = []
        self._at = (0, 0)
        self._faults = FaultCounts()
        self._placed = 0

    def add_region(self, first: int, folios: int, order: int) -> None:
        """Map folios `first .. first + folios - 1` of 2 ** order pages, above what is there."""
        self._vmas.append(_Vma(first, folios, order))

    def limits(self) -> PeriodLimits:
        """The limits of the period at the present size, all regions being resident."""
        return period_limits(self.tunables, sum(vma.pages for vma in self._vmas))

    def due_ms(self, now_ms: float, cpu_ms: float, pace: float = 1.0) -> float:
        """The time of the next step, on a tick, if threads run on at `pace`.

        pace: ms of CPU time in a ms; with 0 the time is infinity where CPU time is lacking.
        """
        due = max(now_ms, self.next_scan_ms or 0.0)
        due = -(-due // self._tick_ms) * self._tick_ms
        lacking = self._stamp_ms + self.period_ms - cpu_ms
        if lacking < 0:
            return due
        if pace <= 0:
            return float("inf")
        # More than the period is wanted: a tick that finds just that much lets it pass.
        turn = (now_ms + lacking / pace) // self._tick_ms * self._tick_ms + self._tick_ms
        return max(due, turn)

    def step(
        self,
        now_ms: float,
        cpu_ms: float,
        nid: npt.NDArray[np.int16],
        prot_none: npt.NDArray[np.bool_],
        toptier: npt.NDArray[np.bool_],
    ) -> ScanStep:
        """Do a step that is due; what it gives is for the caller to make prot_none.

        The first of a process without threads only sets the time of the next.

        nid: node of every folio, -1 where there is no page.  prot_none: folios whose next access
        faults already.  toptier: by node id.
        """
        self._stamp_ms = max(self._stamp_ms + self.period_ms, cpu_ms - self._tick_ms)
        if self.next_scan_ms is None:
            self.period_ms = self.limits().least
            self.next_scan_ms = now_ms + self.tunables.scan_delay_ms
            return ScanStep(np.empty(0, np.int64), 0, 0, 0)
        if self.threads == 1:  # else another thread is likely to do the next
            self._stamp_ms += 2 * self._tick_ms
        self.next_scan_ms = now_ms + self.period_ms
        before = self.sequence
        folios, updates, looked_at = self._walk(now_ms, nid, prot_none, toptier)
        return ScanStep(folios, updates, looked_at, self.sequence - before)

    def spent(self, step_ms: float) -> None:
        """Note the CPU time of a step: the thread runs 32 times as long before its next."""
        if self.threads == 1:
            self._stamp_ms += CAREFUL_SHARE * step_ms

    def count_faults(
        self,
        now_ms: float,
        *,
        remote_private: int = 0,
        remote_shared: int = 0,
        local_private: int = 0,
        local_shared: int = 0,
        failed: int = 0,
    ) -> None:
        """Count pages of faults as task_numa_fault() does; the first of a pass adapts.

        `failed`: pages of migrations that failed, top-tier pages alone.
        """
        if not remote_private + remote_shared + local_private + local_shared:
            return
        if self._placed != self.sequence:
            self._placed = self.sequence
            self._adapt(now_ms)
        counts = self._faults
        counts.failed += failed
        counts.remote += remote_private + remote_shared
        counts.local += local_private + local_shared
        counts.shared += remote_shared + local_shared
        counts.private += remote_private + local_private

    def _adapt(self, now_ms: float) -> None:
        limits, counts = self.limits(), self._faults
        slowed = counts.local + counts.shared == 0 or counts.failed > 0
        self.period_ms = adapt(self.period_ms, limits, counts)
        if slowed:
            self.next_scan_ms = now_ms + self.period_ms

    def _walk(
        self,
        now_ms: float,
        nid: npt.NDArray[np.int16],
        prot_none: npt.NDArray[np.bool_],
        toptier: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.int64], int, int]:
        pages = self.tunables.scan_pages
        virtual = VIRTUAL_PAGES * pages
        found: list[npt.NDArray[np.int64]] = [np.empty(0, np.int64)]
        updates = 0
        at, start = self._start()
        while at < len(self._vmas):
            vma = self._vmas[at]
            if self._too_new(vma, now_ms):
                at, start = at + 1, 0
                continue
            while start < vma.pages:
                end = min(-(-(start + pages) // HUGE_PAGES) * HUGE_PAGES, vma.pages)
                first, last = (vma.first + (page >> vma.order) for page in (start, end))
                folios = to_make_prot_none(nid, prot_none, toptier, first, last)
                found.append(folios)
                updates += len(folios) << vma.order
                if len(folios):
                    pages -= end - start
                virtual -= end - start
                start = end
                if pages <= 0 or virtual <= 0:
                    self._at = (at, start)
                    return self._step_of(found, updates, virtual)
            at, start = at + 1, 0
        self._wrap()
        return self._step_of(found, updates, virtual)

    def _step_of(
        self, found: list[npt.NDArray[np.int64]], updates: int, virtual: int
    ) -> tuple[npt.NDArray[np.int64], int, int]:
        looked_at = VIRTUAL_PAGES * self.tunables.scan_pages - virtual
        return np.concatenate(found), updates, looked_at

    def _start(self) -> tuple[int, int]:
        """The region and page to go on at; past the last, the sequence rises."""
        at, page = self._at
        if at < len(self._vmas) and page >= self._vmas[at].pages:
            at, page = at + 1, 0
        if at >= len(self._vmas):
            self._wrap()
            return self._at
        return at, page

    def _wrap(self) -> None:
        self.sequence += 1
        self._at = (0, 0)

    def _too_new(self, vma: _Vma, now_ms: float) -> bool:
        """Whether to leave out a region that was first met too short a time ago."""
        if vma.next_scan_ms is None:
            vma.next_scan_ms = now_ms + self.tunables.scan_delay_ms
        return self.sequence > 0 and now_ms < vma.next_scan_ms


def to_make_prot_none(
    nid: npt.NDArray[np.int16],
    prot_none: npt.NDArray[np.bool_],
    toptier: npt.NDArray[np.bool_],
    first: cython.long,
    last: cython.long,
) -> npt.NDArray[np.int64]:
    """The folios in [first, last) that are on a lower tier and not prot_none yet."""
    found = np.empty(last - first, np.int64)
    node_of: cython.p_short = i16(nid)
    is_prot_none: cython.p_uchar = u8(prot_none)
    is_top: cython.p_uchar = u8(toptier)
    folios: cython.p_long = i64(found)
    count: cython.long = 0
    folio: cython.long
    with cython.nogil:
        for folio in range(first, last):
            folios[count] = folio  # overwritten by the next, unless it counts
            if node_of[folio] >= 0:
                count += 1 - (is_top[node_of[folio]] | is_prot_none[folio])
    return found[:count]
