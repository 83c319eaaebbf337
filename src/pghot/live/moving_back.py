"""Promoted pages go back to the node they came from, so that a block of a trial begins anew.

Promotion that is switched off leaves what it has moved on the fast node: without this, the
blocks without it would be served as those with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pghot.engine.distinct import distinct
from pghot.engine.memory import BoolArray, U64Array
from pghot.linux.host import Host
from pghot.linux.pages.batch_size import LatencyBudget
from pghot.linux.pages.move_pages import move_batch
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.targets import Targets
from pghot.live.mover import Promoted

KEPT = 1 << 23
"""Folios that are kept at the most: 24 bytes each."""


class Moved(NamedTuple):
    """Folios of a process that came from `nid`: address, frame now, pages of 4 KiB of each."""

    pid: int
    starttime: int
    nid: int
    vaddr: U64Array
    pfn: U64Array
    pages: U64Array

    def taken(self, which: slice | BoolArray) -> Moved:
        """Some of them."""
        some = {name: getattr(self, name)[which] for name in ("vaddr", "pfn", "pages")}
        return self._replace(**some)


class MovingBack:
    """Keeps what was promoted, and moves it back in calls that a latency budget allows."""

    def __init__(
        self, host: Host, targets: Targets, pagemap: Pagemap, clock: Callable[[], int]
    ) -> None:
        """`clock` is in ns; the budget that of calls that promote, by default."""
        self._host, self._targets, self._pagemap, self._clock = host, targets, pagemap, clock
        self._budget = LatencyBudget()
        self._kept: deque[Moved] = deque()
        self._folios = 0
        self.overflowed = False
        """Whether more was promoted than can be kept; what was more stays."""
        self.pages = 0
        """Pages of 4 KiB that have gone back so far."""
        self.stayed = 0
        """Pages that could not: the node is full, or they cannot be isolated."""

    def promoted(self, folios: Promoted) -> None:
        """Take in folios that have just been promoted."""
        if self._folios + len(folios.vaddr) > KEPT:
            self.overflowed = True
            return
        starttime = self._targets.starttime(folios.pid)
        mapped = self._pagemap.lookup(folios.pid, folios.vaddr, starttime)
        for nid in distinct(folios.from_nid).tolist():
            here = mapped.present & (folios.from_nid == nid)
            moved = Moved(folios.pid, starttime, nid, folios.vaddr, mapped.pfn, folios.pages)
            self._keep(moved.taken(here))

    def _keep(self, moved: Moved) -> None:
        if len(moved.vaddr):
            self._kept.append(moved)
            self._folios += len(moved.vaddr)

    @property
    def left(self) -> bool:
        """Whether there is something to move back."""
        return bool(self._kept)

    def step(self) -> None:
        """Move some of it: one call of move_pages at the most."""
        while self._kept:
            batch = self._taken()
            mapped = self._pagemap.lookup(batch.pid, batch.vaddr, batch.starttime)
            same = mapped.present & (mapped.pfn == batch.pfn)  # else it is another page by now
            if same.any():
                self._move(batch.taken(same))
                return

    def _taken(self) -> Moved:
        """Take as many folios of the first process as fit."""
        first = self._kept.popleft()
        fits = self._budget.fits(first.pages)
        if fits < len(first.vaddr):
            self._kept.appendleft(first.taken(slice(fits, None)))
            first = first.taken(slice(fits))
        self._folios -= len(first.vaddr)
        return first

    def _move(self, folios: Moved) -> None:
        begin = self._clock()
        batch = move_batch(self._host, folios.pid, folios.vaddr, folios.nid)
        self._budget.record(int(folios.pages.sum()), self._clock() - begin)
        self.pages += int(folios.pages[batch.moved].sum())
        self.stayed += int(folios.pages[~batch.moved].sum())
