"""Hot or not by the latency of a hint fault (fidelity `improved`).

The latency is the time from the kernel's making a page prot_none to the access that faults:
numa_hint_fault_latency() of kernel/sched/fair.c, by which NUMA balancing tells hot pages from
lukewarm ones.  An access whose latency is known counts by it, and not by how often its page
faulted: a scan comes round far too seldom for two faults to fall into one window.

While the target has free room one short latency makes a page ready, as in the kernel.  Where
room has to be made by demoting others, a mistake costs two moves: then a page is ready at its
second short latency in a row, or at one that is very short; and the threshold follows the
pages that it lets through, so that those accessed most often come first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import zeros

UNKNOWN = -1
"""The latency of an access of which it is not known."""

HOT_THRESHOLD_MS = 1000
"""The longest threshold: sysctl_numa_balancing_hot_threshold (kernel/sched/fair.c)."""

LEAST_THRESHOLD_MS = 8
"""Two ticks of a kernel of 250 HZ: the kernel's own clock tells no less."""

VERY_SHORT = 8
"""A latency is very short below the threshold divided by this."""

ROOM_SHIFT = 6
"""A target has room where more than one in so many (a power of two) of its pages is spare."""

PERIOD_MS = 2000
"""Milliseconds between two adjustments of the threshold."""

MOST_PER_MINUTE = 1 / 64
"""The share of a target's pages that a minute may bring, where room has to be made."""

FLAT, STEEP = 1.5, 1.75
"""A short latency makes the next one of that page so many times as likely: below FLAT
nothing is hotter than the rest, above STEEP something is again."""

LEAST_PAIRS = 256
"""Second faults of pages whose first was short, from which FLAT is told."""

FORGETTING = 0.9
"""What faults of an earlier period weigh beside those of the next one."""

_SEEN, _SHORT = 1, 2


class Counted(NamedTuple):
    """Faults of pages that were seen before, the older ones weighing less.

    `seen` all of them, `after_short` those whose last latency was short; `_short` how many
    of each were short now.
    """

    seen: float = 0.0
    seen_short: float = 0.0
    after_short: float = 0.0
    after_short_short: float = 0.0


class FaultLatency:
    """Judges hint faults of one target; all that it goes by are the faults, in time order."""

    def __init__(self, hz: int) -> None:
        self.threshold_ms = float(HOT_THRESHOLD_MS)
        self.room = True
        """Whether the target had free room at kmigrated's last pass."""
        self.target_pages = 0
        """Pages of the target."""
        self.flat = False
        """Whether no page is accessed more often than others, as far as latencies tell."""
        self.passed = 0
        """Accesses that were short enough."""
        self.over = 0
        """Accesses that were not."""
        self._hz = hz
        self._period = PERIOD_MS * hz // 1000
        self._due = self._period
        self._passed_before = 0
        self._counted = Counted()
        self._pages = zeros(0, np.uint8)

    @property
    def lift(self) -> float:
        """How many times as likely a short latency is after a short one; 0 where not known."""
        counted = self._counted
        if counted.after_short < LEAST_PAIRS or not counted.seen_short:
            return 0.0
        overall = counted.seen_short / counted.seen
        return counted.after_short_short / counted.after_short / overall

    def target(self, pages: int, spare: int) -> None:
        """Take in what kmigrated finds of its target: its pages, and those free for others.

        Those are above the promotion watermark, up to which kswapd makes room.
        """
        self.target_pages = pages
        self.room = spare > pages >> ROOM_SHIFT

    def judge(
        self,
        places: npt.NDArray[np.int64],
        latency_ms: npt.NDArray[np.int32],
        now: npt.NDArray[np.uint64],
    ) -> npt.NDArray[np.bool_]:
        """Which accesses make their page ready.

        `places` are the pages' (`MemMap.places`), `now` their jiffies, ascending; every
        latency is known.
        """
        hot = np.zeros(len(places), np.bool_)
        at = 0
        while at < len(places):
            self._adjust(int(now[at]))
            end = int(np.searchsorted(now, np.uint64(self._due)))
            for turn in _turns(places[at:end]):  # one fault of each page
                rows = turn + at
                hot[rows] = self._judge(places[rows], latency_ms[rows])
            at = end
        return hot

    def forget(self, places: npt.NDArray[np.int64]) -> None:
        """Forget pages that have moved away: what comes into their frames is another."""
        self._pages[places[places < len(self._pages)]] = 0

    def _judge(
        self, places: npt.NDArray[np.int64], latency_ms: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.bool_]:
        pages = self._at_least(int(places.max()) + 1)
        before = pages[places]
        seen, was_short = before & _SEEN != 0, before & _SHORT != 0
        short = latency_ms < self.threshold_ms
        self._count(seen, was_short, short)
        hot = short.copy()
        if not self.room:
            hot &= was_short | (latency_ms < self.threshold_ms / VERY_SHORT)
        pages[places] = np.where(short, np.uint8(_SEEN | _SHORT), np.uint8(_SEEN))
        if self.flat and not self.room:
            hot[:] = False
        passed = int(np.count_nonzero(hot))
        self.passed += passed
        self.over += len(hot) - passed
        return hot

    def _count(
        self,
        seen: npt.NDArray[np.bool_],
        was_short: npt.NDArray[np.bool_],
        short: npt.NDArray[np.bool_],
    ) -> None:
        counts = (seen, seen & short, was_short, was_short & short)
        now = (int(np.count_nonzero(which)) for which in counts)
        self._counted = Counted(*(a + b for a, b in zip(self._counted, now, strict=True)))

    def _adjust(self, now: int) -> None:
        """Move the threshold where a period has gone by at `now` jiffies."""
        if now < self._due:
            return
        periods = (now - self._due) // self._period + 1
        self._due += periods * self._period
        passed = self.passed - self._passed_before
        self._passed_before = self.passed
        if self.room:
            self.threshold_ms = float(HOT_THRESHOLD_MS)
        else:
            self._follow(passed / periods)
        lift = self.lift
        if lift:
            self.flat = lift < (STEEP if self.flat else FLAT)
        weight = FORGETTING**periods
        self._counted = Counted(*(weight * count for count in self._counted))

    def _follow(self, passed: float) -> None:
        """Have the threshold let through what a period may bring."""
        allowed = self.target_pages * MOST_PER_MINUTE * PERIOD_MS / 60_000
        factor = math.sqrt(allowed / passed) if passed else math.inf
        threshold = self.threshold_ms * min(max(factor, 0.5), 1.25)
        self.threshold_ms = min(max(threshold, LEAST_THRESHOLD_MS), HOT_THRESHOLD_MS)

    def _at_least(self, length: int) -> npt.NDArray[np.uint8]:
        if length > len(self._pages):
            larger = zeros(2 * length, np.uint8)
            larger[: len(self._pages)] = self._pages
            self._pages = larger
        return self._pages


def _turns(places: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Rows of the first fault of each page, then of the second of those that have one, ..."""
    order = np.argsort(places, kind="stable")
    sorted_places = places[order]
    first = np.flatnonzero(np.diff(sorted_places, prepend=-1))
    turn = np.arange(len(places)) - np.repeat(first, np.diff(first, append=len(places)))
    for number in range(int(turn.max(initial=-1)) + 1):
        yield np.sort(order[turn == number])
