"""Whether promoted pages stay: some of them are looked at again after a minute.

A page that was demoted again within a minute cost two moves for nothing: the engine is told
what share did (`FaultLatency.undone`), and asks for hotter pages while it is large.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import U64Array
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.targets import Targets
from pghot.live.machine import HostMachine

AFTER_US = 60_000_000
"""Microseconds after which a promoted page is looked at again."""

A_CALL = 16
"""Pages of a batch that are looked at again at the most."""

KEPT = 1 << 16
"""Pages that wait to be looked at at the most; the oldest go first."""


class WatchedPages(NamedTuple):
    """Pages of one process that were promoted together."""

    at_us: int
    pid: int
    vaddr: U64Array


class DemotedAgain:
    """Takes a sample of what is promoted and says, later, how much of it was demoted."""

    def __init__(self, machine: HostMachine, pagemap: Pagemap, targets: Targets) -> None:
        self._machine = machine
        self._pagemap = pagemap
        self._targets = targets
        self._waiting: deque[WatchedPages] = deque(maxlen=KEPT // A_CALL)
        self.looked_at = 0
        """Pages that were looked at a minute after they were promoted."""
        self.demoted = 0
        """Pages of those that were on a lower tier again."""

    def promoted(self, at_us: int, pid: int, vaddr: U64Array) -> None:
        """Take in pages of a process that have just been promoted."""
        if len(vaddr):
            self._waiting.append(
                WatchedPages(at_us, pid, vaddr[:: -(-len(vaddr) // A_CALL)].copy())
            )

    def forget(self) -> None:
        """Look at nothing of what has been promoted so far: somebody else has moved it."""
        self._waiting.clear()

    def look(self, now_us: int) -> tuple[int, int]:
        """Look at those whose minute is over: how many, and how many of them were demoted."""
        looked_at = demoted = 0
        while self._waiting and self._waiting[0].at_us + AFTER_US <= now_us:
            nids = self._nids(self._waiting.popleft())
            looked_at += int(np.count_nonzero(nids >= 0))
            demoted += int(np.count_nonzero((nids >= 0) & ~self._machine.toptier[nids]))
        self.looked_at += looked_at
        self.demoted += demoted
        return looked_at, demoted

    def _nids(self, promoted: WatchedPages) -> npt.NDArray[np.int64]:
        """The node that each page is on now; -1 where it has gone."""
        starttime = self._targets.starttime(promoted.pid)
        mapped = self._pagemap.lookup(promoted.pid, promoted.vaddr, starttime)
        return np.where(mapped.present, self._machine.nids_of_host(mapped.pfn), -1)
