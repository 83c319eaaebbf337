"""From a page frame to a process that maps it, and where: the rmap, as user space can have it.

The kernel shows no rmap.  Page tables are gone through for the frames that are asked for
(`page_tables`), those of processes first whose control group a frame is charged to
(/proc/kpagecgroup), and what was found is kept.  What is kept is looked up again before it is
given out, unless that was just done: a page may have moved, or be another's by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.memory import BoolArray, U64Array
from pghot.linux.closing import Closing
from pghot.linux.host import Host
from pghot.linux.pages.kpage import KPages
from pghot.linux.pages.page_tables import find_frames
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.cgroups import memcg_of

SURE_NS = 1_000_000_000
"""How long what was found is given out without another look."""

SHARE = 20
"""Page tables are gone through for a twentieth of the time at the most..."""

STEP_NS = 4_000_000
"""...and for so long at a time."""

MOST_KEPT = 1 << 20
"""Frames whose process and address are kept, 36 bytes each: those looked up last."""

NOT_YET = -1

Processes = Callable[[], Mapping[int, int]]
"""The starttime of each process whose page tables are gone through, by pid."""


class Found(NamedTuple):
    """Of each frame asked for: its process and address there.

    `pid` is 0 where no process maps it, and NOT_YET where that is not known yet.
    """

    pid: npt.NDArray[np.int32]
    vaddr: U64Array


_KEPT = np.dtype(
    [("pfn", "u8"), ("vaddr", "u8"), ("starttime", "u8"), ("seen_ns", "i8"), ("pid", "i4")]
)


class ReverseMap(Closing):
    """Looks for frames in the page tables of `processes`, a little at a time."""

    def __init__(
        self, host: Host, processes: Processes, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._host = host
        self._processes = processes
        self._clock = clock
        self._page_size = host.sysconf("SC_PAGE_SIZE")
        self._pagemap = Pagemap(host, self._page_size)
        self._kpages = KPages(host)
        self._kept = np.zeros(0, _KEPT)
        self._asked: list[U64Array] = []
        self._asked_count = 0
        self._missing = np.zeros(0, np.uint64)
        self._pass: Iterator[None] | None = None
        self._cost_ns = self._due_ns = self._missing_until_ns = 0
        self.passes = 0
        """How often page tables have been gone through to their end."""

    @property
    def working(self) -> bool:
        """Whether there is something to look for."""
        return self._pass is not None or self._asked_count > 0

    def close(self) -> None:
        """Close the files of pages."""
        self._pass = None
        self._pagemap.close()
        self._kpages.close()

    def find(self, pfns: U64Array) -> Found:
        """Who maps frames (ascending, no repeats); those not known yet are looked for.

        For `STEP_NS` now, if it is time; ask again when there have been more `passes`.  A frame
        that nobody was found to map is said so for `SURE_NS`, and looked for anew after that.
        """
        self._look_again(pfns)
        if self._clock() >= self._missing_until_ns:
            self._missing = np.zeros(0, np.uint64)
        known = _places(self._kept["pfn"], pfns)[1] | np.isin(pfns, self._missing)
        self._ask(pfns[~known])
        self._work()
        at, known = _places(self._kept["pfn"], pfns)
        pid = np.where(np.isin(pfns, self._missing), 0, NOT_YET).astype(np.int32)
        vaddr = np.zeros(len(pfns), np.uint64)
        kept = self._kept[at[known]]
        pid[known], vaddr[known] = kept["pid"], kept["vaddr"]
        return Found(pid, vaddr)

    def _ask(self, pfns: U64Array) -> None:
        """Have frames looked for in the next pass; repeats are put together now and then."""
        if len(pfns):
            self._asked.append(pfns)
            self._asked_count += len(pfns)
        if self._asked_count > MOST_KEPT:
            self._asked = [distinct(np.concatenate(self._asked))[:MOST_KEPT]]
            self._asked_count = len(self._asked[0])

    def _take_asked(self) -> U64Array:
        asked, self._asked, self._asked_count = self._asked, [], 0
        frames: U64Array = distinct(np.concatenate(asked))
        return frames

    def _work(self) -> None:
        began = self._clock()
        if self._pass is None:
            if not self._asked_count or began < self._due_ns:
                return
            self._cost_ns = 0
            self._pass = self._go_through(self._take_asked())
        for _ in self._pass:
            if self._clock() - began >= STEP_NS:
                self._cost_ns += self._clock() - began
                return
        self._pass = None
        self._cost_ns += self._clock() - began
        self._due_ns = self._clock() + SHARE * self._cost_ns
        self._missing_until_ns = self._clock() + SURE_NS
        self.passes += 1

    def _go_through(self, wanted: U64Array) -> Iterator[None]:
        """A pass for frames, an item a step; what it found is known at its end."""
        left = wanted
        found = [self._kept]
        for pid, starttime in self._order(wanted):
            hits_of = find_frames(self._host, self._pagemap, pid, starttime, left, self._page_size)
            for hits in hits_of:
                found.append(_entries(hits.pfn, hits.vaddr, pid, starttime, self._clock()))
                left = np.setdiff1d(left, hits.pfn, assume_unique=True)
                yield
            if not len(left):
                break
        self._keep(np.concatenate(found))
        self._missing = left

    def _order(self, wanted: U64Array) -> list[tuple[int, int]]:
        """Processes, those first to whose control groups frames are charged.

        The others after them: a page stays charged where it was first touched.
        """
        processes = list(self._processes().items())
        if len(processes) < 2:
            return processes
        charged = set(self._kpages.cgroups(self._kpages.heads(wanted)).tolist())
        return sorted(processes, key=lambda one: memcg_of(self._host, one[0]) not in charged)

    def _keep(self, entries: npt.NDArray[np.void]) -> None:
        """Keep these and no others; of one frame the last, of too many those seen last."""
        entries = entries[::-1]
        entries = entries[np.unique(entries["pfn"], return_index=True)[1]]
        if len(entries) > MOST_KEPT:
            newest = np.argsort(entries["seen_ns"], kind="stable")[-MOST_KEPT:]
            entries = entries[np.sort(newest)]
        self._kept = entries

    def _look_again(self, pfns: U64Array) -> None:
        """Let go of frames, of these, that are no longer where they were found."""
        at, known = _places(self._kept["pfn"], pfns)
        now = self._clock()
        at = at[known]
        at = at[self._kept["seen_ns"][at] < now - SURE_NS]
        good: BoolArray = np.ones(len(self._kept), np.bool_)
        entries = self._kept[at]
        for pid in distinct(entries["pid"]).tolist():
            of_pid = at[entries["pid"] == pid]
            ours = self._kept[of_pid]
            starttime = int(ours["starttime"][0])
            mapped = self._pagemap.lookup(pid, ours["vaddr"], starttime)
            good[of_pid] = mapped.pfn == ours["pfn"]
        self._kept["seen_ns"][at] = now
        if not good.all():
            self._kept = self._kept[good]


def _places(sorted_: U64Array, pfns: U64Array) -> tuple[npt.NDArray[np.intp], BoolArray]:
    """Where frames are among ascending ones, and whether they are there."""
    if not len(sorted_):
        return np.zeros(len(pfns), np.intp), np.zeros(len(pfns), np.bool_)
    at = np.searchsorted(sorted_, pfns).clip(max=len(sorted_) - 1)
    return at, sorted_[at] == pfns


def _entries(
    pfn: U64Array, vaddr: U64Array, pid: int, starttime: int, now: int
) -> npt.NDArray[np.void]:
    made = np.zeros(len(pfn), _KEPT)
    made["pfn"], made["vaddr"] = pfn, vaddr
    made["pid"], made["starttime"], made["seen_ns"] = pid, starttime, now
    return made
