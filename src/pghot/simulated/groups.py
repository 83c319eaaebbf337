"""Groups of threads: how far they are, and the time they owe."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from pghot.simulated.machine.regions import FolioRegion, StreamCursor
from pghot.simulated.scenario.scenario import ThreadsTable


@dataclass(slots=True)
class Group:
    """A group of identical threads.

    `left`: accesses that all of them together still have to make, infinite where they have
    no number.  `debt_s`: thread time taken by faults, interrupts and waiting, and not paid
    yet.  `cost_ns` of an access now.  `threads` that run, on `cpus`.  `busy_s`: thread time in
    accesses and debts.
    """

    table: ThreadsTable
    region: FolioRegion
    flow: StreamCursor
    cpus: tuple[int, ...]
    left: float
    running: bool = False
    debt_s: float = 0.0
    cost_ns: float = 0.0
    made: float = 0.0
    busy_s: float = 0.0
    ended_s: float | None = None

    @property
    def threads(self) -> int:
        """Threads that run."""
        return len(self.cpus) if self.running else 0

    @property
    def ends(self) -> bool:
        """Whether it has a number of accesses to make."""
        return min(self.left + self.made, self.flow.stream.end_clock) < inf

    def ends_in(self) -> float:
        """Seconds until it has made its accesses, at the present cost."""
        return (self.left * self.cost_ns * 1e-9 + self.debt_s) / len(self.cpus)

    def work(self, seconds: float, most: float = inf) -> float:
        """Let time pass; the accesses made, `most` at the most."""
        time = self.threads * seconds
        paid = min(self.debt_s, time)
        self.debt_s -= paid
        made = min((time - paid) / (self.cost_ns * 1e-9), self.left, most)
        self.busy_s += paid + made * self.cost_ns * 1e-9
        self.left -= made
        self.made += made
        return made
