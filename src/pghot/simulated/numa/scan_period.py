"""How often the NUMA scanner comes round: kernel/sched/fair.c, without NUMA groups."""

from __future__ import annotations

from dataclasses import dataclass

from pghot.engine.units import MSEC_PER_SEC, PAGE_SHIFT
from pghot.errors import InputError

MAX_SCAN_WINDOW = 2560
"""MiB a second that are scanned at most, by the floor of the period (fair.c)."""

NUMA_PERIOD_SLOTS = 10
NUMA_PERIOD_THRESHOLD = 7
"""Tenths of the faults that have to be private, or local, for a period to grow (fair.c)."""

_U32 = 0xFFFF_FFFF
_PAGES_PER_MB = 1 << (20 - PAGE_SHIFT)


@dataclass(frozen=True, slots=True)
class ScanTunables:
    """debugfs sched/numa_balancing/: times in ms, `scan_size_mb` in MiB.

    `scale` makes a step and the memory it is compared with smaller together: a slice of the
    machine is scanned in the time of the whole.
    """

    scan_delay_ms: int = 1000
    scan_period_min_ms: int = 1000
    scan_period_max_ms: int = 60_000
    scan_size_mb: int = 256
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("scan_delay_ms", "scan_period_min_ms", "scan_period_max_ms", "scan_size_mb"):
            value = getattr(self, name)
            if not 0 < value <= _U32 or value != int(value):
                raise InputError(f"{name} of the scanner must be a whole number from 1: {value}")
            object.__setattr__(self, name, int(value))  # as read from a file it may be a float
        if not 0 < self.scale <= 1:
            raise InputError(
                f"the scanner's scale must be above 0 and at most 1, not {self.scale}"
            )

    @property
    def scan_pages(self) -> int:
        """Pages of a step's budget, one at least."""
        return max(1, round(self.scan_size_mb * _PAGES_PER_MB * self.scale))


@dataclass(frozen=True, slots=True)
class PeriodLimits:
    """Shortest and longest period of a process, ms: task_scan_min() and task_scan_max()."""

    least: int
    most: int


def nr_scan_windows(tunables: ScanTunables, rss_pages: int) -> int:
    """The steps that it takes to pass over `rss_pages`: task_nr_scan_windows()."""
    return max(1, -(-rss_pages // tunables.scan_pages))


def period_limits(tunables: ScanTunables, rss_pages: int) -> PeriodLimits:
    """The limits of the period for a process of so many resident pages.

    The more steps a pass takes, the shorter both; 100 ms is the floor at 256 MiB a step.
    """
    steps = nr_scan_windows(tunables, rss_pages)
    in_a_second = 1
    if tunables.scan_size_mb < MAX_SCAN_WINDOW:
        in_a_second = MAX_SCAN_WINDOW // tunables.scan_size_mb
    least = max(MSEC_PER_SEC // in_a_second, tunables.scan_period_min_ms // steps)
    return PeriodLimits(least, max(least, tunables.scan_period_max_ms // steps))


@dataclass(slots=True)
class FaultCounts:
    """Pages of the faults that task_numa_fault() counted.

    `remote`, `local` and `failed` (migrations) are numa_faults_locality[0], [1] and [2],
    which a period that is doubled leaves as they are; `shared` and `private` are of the
    present pass alone.
    """

    remote: int = 0
    local: int = 0
    failed: int = 0
    shared: int = 0
    private: int = 0


def adapt(period_ms: int, limits: PeriodLimits, faults: FaultCounts) -> int:
    """The period after a pass with such faults; clears what the kernel clears.

    update_task_scan_period(): with no fault that is local or shared, or with migrations that
    failed, the period doubles, to the longest at most, and the counts of locality stay,
    failures included: once one has failed, each later pass doubles.  (The longest of a large
    process can be shorter than the period it starts with, so "doubling" may shorten it.)
    Else the share of private faults decides where it is seven tenths or more, or that of
    local ones: scanning slows down; fewer than that of both speed it up, by a tenth of the
    period for each tenth.
    """
    if faults.local + faults.shared == 0 or faults.failed:
        faults.shared = faults.private = 0
        return min(limits.most, period_ms << 1)
    slot = -(-period_ms // NUMA_PERIOD_SLOTS)
    local = faults.local * NUMA_PERIOD_SLOTS // (faults.local + faults.remote)
    private = faults.private * NUMA_PERIOD_SLOTS // (faults.private + faults.shared)
    decisive = private if private >= NUMA_PERIOD_THRESHOLD else local
    if decisive >= NUMA_PERIOD_THRESHOLD:
        steps = max(1, decisive - NUMA_PERIOD_THRESHOLD)
    else:
        steps = max(local, private) - NUMA_PERIOD_THRESHOLD
    faults.remote = faults.local = faults.shared = faults.private = 0
    return min(max(period_ms + steps * slot, limits.least), limits.most)
