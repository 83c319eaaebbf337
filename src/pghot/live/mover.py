"""Moving folios of a host: first whether each is still what it was, then move_pages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import BoolArray, U64Array
from pghot.engine.reasons import (
    DRY_RUN,
    MOVE_BUDGET,
    MOVE_PAGES,
    MOVED,
    NO_OWNER,
    NOT_TARGET,
    RESIZED,
    STALE,
    STUCK,
)
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.host import Host
from pghot.linux.pages.batch_size import LatencyBudget
from pghot.linux.pages.kpage import KPages
from pghot.linux.pages.kpf import KPF_COMPOUND_TAIL, freed, has, movable
from pghot.linux.pages.move_pages import MoveCounts, move_batch
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.targets import Targets
from pghot.live.hot_processes import HotProcesses
from pghot.live.machine import HostMachine
from pghot.live.move_budget import MoveBudget
from pghot.live.rmap import Owner, Rmap

Rows = npt.NDArray[np.intp]


class Promoted(NamedTuple):
    """Folios of a process that have just moved: addresses, pages of 4 KiB, nodes they left."""

    pid: int
    vaddr: U64Array
    pages: U64Array
    from_nid: npt.NDArray[np.int64]
    to_nid: int


class HostMover:
    """Moves folios by the addresses that their rmap have for them.

    One process at a time, in batches that the latency budget allows.  With `dry_run` all is
    checked and nothing moved: what would be asked for counts as moved.  `shared` moves pages
    that several processes map as well.  `clock` gives ns.
    """

    def __init__(
        self,
        host: Host,
        targets: Targets,
        kpages: KPages,
        rmap: Rmap,
        budget: LatencyBudget,
        *,
        dry_run: bool = False,
        shared: bool = False,
        spending: MoveBudget | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
        tally: HotProcesses | None = None,
        promoted: Callable[[Promoted], None] = lambda _folios: None,
    ) -> None:
        """`promoted` is told what has moved, call by call.

        `spending` limits what moves may cost; None: nothing does.
        """
        self._host = host
        self._targets = targets
        self._kpages = kpages
        self._rmap = rmap
        self._dry_run = dry_run
        self._shared = shared
        self._clock = clock
        self._tally = tally
        self._promoted = promoted
        page_size = host.sysconf("SC_PAGE_SIZE")
        self._scale = np.uint64(page_size >> PAGE_SHIFT)
        self.pagemap = Pagemap(host, page_size)
        self.budget = budget
        self.spending = spending
        self.outcome = MoveCounts()
        self.before: Counter[str] = Counter()
        """Folios that were not asked for, by the keys of NOT_ASKED."""
        self.answers = _no_answers(0)
        """What became of each folio of the last `move`: a key of NOT_ASKED or MOVE_PAGES."""

    def of(self, machine: HostMachine) -> HostMover:
        """Take the machine whose folios these are."""
        self._machine = machine
        return self

    def refused(self) -> dict[str, int]:
        """How many folios did not move by reason (`reasons.LIVE`); only those that there were."""
        asked = {name: self.outcome.counts[name] for name in MOVE_PAGES if name != MOVED}
        return {name: count for name, count in (dict(self.before) | asked).items() if count}

    def move(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move the folios that start at `pfns` to the node; say which moved.

        What is the same for all is done once; a process costs its pagemap and its calls.
        """
        mem_map = self._machine.mem_map
        indices = mem_map.indices(pfns)
        owner = self._rmap.of(indices)
        pages = mem_map.known(pfns).pages.astype(np.uint64)
        self.answers = _no_answers(len(pfns))
        fit = np.flatnonzero(self._fit(pfns, pages))
        rows = self._owned(fit, owner.pid)
        rows = rows[np.argsort(owner.pid[rows], kind="stable")]
        rows = rows[self._mapped(rows, owner, pfns)]
        rows = self._affordable(rows, pages)
        moved = np.zeros(len(pfns), np.bool_)
        nids = self._machine.nids_of(pfns)
        for pid, which in _by_process(owner.pid[rows]):
            left = rows[which]
            while len(left):
                batch = left[: self.budget.fits(pages[left])]
                size = int(pages[batch].sum())
                moved[batch] = self._move(pid, owner.vaddr[batch], size, nid, batch)
                done = batch[moved[batch]]
                if len(done) and not self._dry_run:
                    self._promoted(Promoted(pid, owner.vaddr[done], pages[done], nids[done], nid))
                left = left[len(batch) :]
        self._rmap.forget(indices[moved])
        if self._tally is not None:
            self._tally.asked(owner.pid, moved)
        return moved

    def _affordable(self, rows: npt.NDArray[np.intp], pages: U64Array) -> npt.NDArray[np.intp]:
        """Of these rows of the call, those whose moves may be paid for now."""
        if self.spending is None:
            return rows
        count = self.spending.fits(pages[rows], self._clock())
        self.spending.spend(pages[rows[:count]])
        self.before[MOVE_BUDGET] += len(rows) - count
        self.answers[rows[count:]] = MOVE_BUDGET
        return rows[:count]

    def _fit(self, pfns: U64Array, pages: U64Array) -> BoolArray:
        """Which folios can move now and are as large as they were.

        One that was freed passes: that nobody maps it any more is for `_mapped` to count.
        """
        heads = pfns // self._scale
        flags = self._kpages.flags(heads)
        tail = has(flags, KPF_COMPOUND_TAIL)
        size = self._kpages.folio_pages(heads, flags) * self._scale
        gone = freed(flags)
        # What is smaller than a host's page was never a folio: `pages` 1 stands for its page.
        same = gone | ~tail & (size == np.maximum(pages, self._scale))
        fit = gone | movable(flags)
        self.answers[~fit] = STUCK
        self.answers[~same] = RESIZED
        self.before[RESIZED] += int(np.count_nonzero(~same))
        self.before[STUCK] += int(np.count_nonzero(same & ~fit))
        both: BoolArray = fit & same
        return both

    def _owned(self, rows: Rows, pids: npt.NDArray[np.int32]) -> Rows:
        """Which of `rows` are a target's."""
        ours = self._targets.contains(pids[rows]) & (pids[rows] != 0)
        for why, which in ((NO_OWNER, pids[rows] == 0), (NOT_TARGET, ~ours & (pids[rows] != 0))):
            self.before[why] += int(np.count_nonzero(which))
            self.answers[rows[which]] = why
        owned: Rows = rows[ours]
        return owned

    def _mapped(self, rows: Rows, owner: Owner, pfns: U64Array) -> BoolArray:
        """At which of `rows`, which are sorted by process, the process still has the page."""
        processes = [
            (pid, self._targets.starttime(pid), which)
            for pid, which in _by_process(owner.pid[rows])
        ]
        mapped = self.pagemap.lookup_each(processes, owner.vaddr[rows])
        same: BoolArray = mapped.present & (mapped.pfn == pfns[rows] // self._scale)
        self.before[STALE] += int(np.count_nonzero(~same))
        self.answers[rows[~same]] = STALE
        return same

    def _move(self, pid: int, vaddrs: U64Array, pages: int, nid: int, rows: Rows) -> BoolArray:
        if self._dry_run:
            self.answers[rows] = DRY_RUN
            return np.ones(len(vaddrs), np.bool_)
        begin = self._clock()
        batch = move_batch(self._host, pid, vaddrs, nid, shared=self._shared)
        self.budget.record(pages, self._clock() - begin)
        self.outcome.add(batch)
        self.answers[rows] = batch.each()
        return batch.moved


def _by_process(pids: npt.NDArray[np.int32]) -> Iterator[tuple[int, slice]]:
    """Each pid of those in order, and where it stands."""
    ends = [*(np.flatnonzero(np.diff(pids)) + 1).tolist(), len(pids)]
    start = 0
    for end in ends if len(pids) else ():
        yield int(pids[start]), slice(start, end)
        start = end


def _no_answers(count: int) -> npt.NDArray[np.str_]:
    return np.full(count, "", "U16")
