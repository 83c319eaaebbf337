"""How fast the kernel scans for hint faults, so that they cost no more than they may.

What faults and samples cost is counts times prices (docs/live.md, "What a run costs"), not a
clock's reading: an emulator's or a busy machine's clock would tell of something else.

The period of a task is fixed when its memory is first scanned and never adapted while what
faults stays on its slow node (kernel/sched/fair.c: task_scan_start(), task_numa_fault()), but
`scan_size_mb` is read at every step.  So that is what follows the budget.
"""

from __future__ import annotations

from collections.abc import Callable

from pghot.linux.guard.settings import SCAN
from pghot.linux.processes.targets import Targets
from pghot.live.clock import Clock
from pghot.live.cost_budget import CostBudget

SIZE = f"{SCAN}/scan_size_mb"

FAULT_NS = 1000
"""What a hint fault costs the task that takes it: the trap and the page tables' locks."""

SAMPLE_NS = 2000
"""What a sample costs a run: its record read, its page looked up, its heat counted."""

SIZES = range(1, 257)
"""MiB that a step of the scan may cover; the kernel's default is the most."""

BURST = 0.25
"""Of the intervals that are saved up, the share that goes with the next one: the first round of a
scan tells most, and nothing is known before."""

OWING = 0.8
"""The share of the budget that is spent until what was spent too much is paid back."""

RESTING = 0.25
"""The share of the budget that is spent while nothing can be won."""

SAVED = 20.0
"""Intervals whose budget can be saved up, or owed; a run begins with as many."""

MOST_FASTER = 2.0
LEAST_CHANGE = 1.25
"""A pace that would change by less stays as it is."""

INTERVAL_US = 1_000_000
"""Microseconds between two looks at the cost."""

STALE_US = 30_000_000
"""Microseconds that are waited at the most for the CPU time in which faults were taken: that of
many targets is not looked at each time."""

PATIENCE = 50
"""Looks at the targets' CPU time take no more than one part in so many of the time."""


class ScanPace:
    """The size of a step, in MiB: give it what an interval cost, and it says what to set."""

    def __init__(self, budget: CostBudget, saved: float = SAVED) -> None:
        """`saved` are the intervals whose budget may be spent at once."""
        self.budget = budget
        self.size_mb = float(SIZES[-1])
        self.spent = 0.0
        """Of what may be spent, the share that was in the last interval."""
        self.resting = False
        """Whether nothing can be won now, so that a look now and then is enough."""
        self._saved = saved

    def spend(self, faults: int, targets_ns: int, elapsed_ns: int, lost: int = 0) -> bool:
        """Take in an interval's faults and the targets' CPU time; say whether the size changes.

        Of the faults so many were lost: what a ring has no room for is paid for in vain.
        """
        by_targets = faults * FAULT_NS / max(self.budget.faults * targets_ns, 1)
        by_us = faults * SAMPLE_NS / max(self.budget.samples * elapsed_ns, 1)
        self.spent = max(by_targets, by_us)
        wanted = self.size_mb * min(self._goal() / max(self.spent, 1e-9), MOST_FASTER)
        if lost:
            wanted = min(wanted, self.size_mb * (1 - lost / faults))
        wanted = min(max(wanted, SIZES[0]), SIZES[-1])
        if max(wanted / self.size_mb, self.size_mb / wanted) < LEAST_CHANGE:
            return False
        self.size_mb = wanted
        return True

    def _goal(self) -> float:
        """How many times the budget the next interval may cost."""
        self._saved = min(max(self._saved + 1 - self.spent, -SAVED), SAVED)
        if self.resting:
            return RESTING
        return OWING if self._saved < 0 else 1 + BURST * self._saved


class ScanPacer:
    """Keeps the pace of a run's scan within its budget, by the clock of the run."""

    def __init__(
        self,
        pace: ScanPace,
        targets: Targets,
        count: Callable[[], int],
        set_: Callable[[str, str], bool],
        lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """`count` gives the hint faults so far, lost ones too; `lost` gives those alone.

        `set_` changes a host setting and says whether it did; the pace stays once it did not.
        """
        self.pace = pace
        self.faults = 0
        """Faults that were seen, lost ones too, up to the last look."""
        self.targets_ns = 0
        """CPU time of the targets from the first look to the last."""
        self._targets, self._count, self._set, self._lost = targets, count, set_, lost
        self._seen = self._lost_before = 0
        self._at_us = 0
        self._due = 0
        self._started = self._over = False
        self._cpu_ns = targets.cpu_ns()

    @property
    def targets_share(self) -> float:
        """What hint faults have cost of the targets' CPU time so far."""
        return self.faults * FAULT_NS / self.targets_ns if self.targets_ns else 0.0

    def attend(self, clock: Clock) -> None:
        """Look at the cost where it is time."""
        now_us = clock.now_us()
        if self._over or now_us < self._due:
            return
        if not self._started:
            self._start(now_us)
            return
        seen, cpu_ns = self._count(), self._targets.cpu_ns()
        faults = seen - self._seen
        if faults and cpu_ns == self._cpu_ns and now_us < self._at_us + STALE_US:
            self._due = now_us + INTERVAL_US
            return
        self._seen = seen
        used = max(cpu_ns - self._cpu_ns, 0)  # of a target that ended, nothing is left to read
        lost = self._lost() - self._lost_before
        self._lost_before += lost
        elapsed_ns = (now_us - self._at_us) * 1000
        changed = self.pace.spend(faults, used, elapsed_ns, lost)
        self._cpu_ns, self._at_us = cpu_ns, now_us
        self.faults += faults
        self.targets_ns += used
        took_us = clock.now_us() - now_us
        self._due = now_us + max(INTERVAL_US, PATIENCE * took_us)
        if changed:
            self._over = not self._set(SIZE, str(int(self.pace.size_mb)))

    def start_again(self) -> None:
        """Begin anew after a time without scans, whose faults and CPU time do not count."""
        self._started, self._due = False, 0
        self._seen, self._lost_before = self._count(), self._lost()
        self._cpu_ns = self._targets.cpu_ns()

    def _start(self, now_us: int) -> None:
        self._started = True
        self._at_us, self._due = now_us, now_us + INTERVAL_US
        self.pace.size_mb = float(SIZES[-1])  # it makes the period of tasks that are new, too
        self._over = not self._set(SIZE, str(SIZES[-1]))
