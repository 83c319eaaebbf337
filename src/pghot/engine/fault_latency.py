"""Hot or not by the latency of a hint fault (fidelity `improved`).

The latency is the time from the kernel's making a page prot_none to the access that faults:
numa_hint_fault_latency() of kernel/sched/fair.c, by which NUMA balancing tells hot pages from
lukewarm ones.  An access whose latency is known counts by it, and not by how often its page
faulted: a scan comes round far too seldom for two faults to fall into one window.

While much of the target is free every fault makes its page ready, and while some is, one
latency below the kernel's threshold does, as in the kernel (pgdat_free_space_enough()).  Where
room has to be made by demoting others, a mistake costs two moves.  Then a page is ready when
its last two latencies were both many times shorter than is usual on slow memory, or one was
shorter by the square of that: two tell far better than one (docs/live.md, "How hot pages are
told"), and what is usual is measured, so that nothing here depends on how fast the machine is.
Where no more pages are hot by that than chance would make of pages that are all accessed alike,
there is nothing to win, and none is promoted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import reaching, zeros

U8Array = npt.NDArray[np.uint8]

UNKNOWN = -1
"""The latency of an access of which it is not known."""

HOT_THRESHOLD_US = 1_000_000
"""The longest threshold: sysctl_numa_balancing_hot_threshold (kernel/sched/fair.c)."""

ROOM_SHIFT, PLENTY_SHIFT = 6, 4
"""A target has room where more than one in so many (a power of two) of its pages is spare, and
plenty where more than one in so many is."""

PERIOD_MS = 2000
"""Milliseconds between two looks at what latencies are usual."""

FORGETTING = 0.9
"""What faults of an earlier period weigh beside those of the next one."""

LEAST_FAULTS = 256
"""Faults without which nothing is said of what is usual."""

LEAST_PAIRS = 2000
"""Faults of pages that had faulted before, without which FLAT is not told."""

FLAT, STEEP = 3.0, 4.0
"""So many times as many pages are hot as chance would make: below FLAT nothing is hotter than the
rest, above STEEP something is again."""

STEPS = 4
"""Steps of a code in which latencies are compared, for each doubling."""

LEAST_HOTTER, MOST_HOTTER = 4 * STEPS, 8 * STEPS
"""By how many steps a hot page's latencies are shorter than the usual one: 16 times at least,
256 times where what was promoted did not stay."""

UNDONE = 0.25
"""The share of promoted pages that may be demoted again within a minute."""

_CODES = 128


class FaultLatency:
    """Judges hint faults of one target; all that it goes by are the faults, in time order."""

    def __init__(self, hz: int) -> None:
        self.room = True
        """Whether the target had free room at kmigrated's last pass."""
        self.plenty = False
        """Whether it had much of it."""
        self.flat = False
        """Whether no page is accessed more often than others, as far as latencies tell."""
        self.hotter = LEAST_HOTTER
        """By how many steps a hot page's latencies are shorter than the usual one."""
        self.passed = 0
        """Faults that made their page ready."""
        self.over = 0
        """Faults that did not."""
        self._period = PERIOD_MS * hz // 1000
        self._due = self._period
        self._usual = 0
        self._codes = np.zeros(_CODES)
        self._chance = _Chance()
        self._pages: U8Array = zeros(0, np.uint8)

    @property
    def threshold_us(self) -> int:
        """The latency in microseconds that a page must stay below, twice where room is short."""
        return HOT_THRESHOLD_US if self.room else _shortest(self._threshold)

    @property
    def excess(self) -> float:
        """How many times as many pages are hot as chance would make; 0 where not known yet."""
        return self._chance.excess

    def target(self, pages: int, spare: int) -> None:
        """Take in what kmigrated finds of its target: its pages, and those free for others.

        Those are above the promotion watermark, up to which kswapd makes room.
        """
        self.plenty = spare > pages >> PLENTY_SHIFT
        self.room = spare > pages >> ROOM_SHIFT

    def undone(self, promoted: int, demoted: int) -> None:
        """Take in that of so many promoted pages so many were demoted again within a minute."""
        if demoted > UNDONE * promoted:
            self.hotter = min(self.hotter + STEPS, MOST_HOTTER)
        else:
            self.hotter = max(self.hotter - 1, LEAST_HOTTER)

    def judge(
        self,
        indices: npt.NDArray[np.int64],
        latency_us: npt.NDArray[np.int32],
        now: npt.NDArray[np.uint64],
    ) -> npt.NDArray[np.bool_]:
        """Which accesses make their page ready.

        `indices` are the pages' (`MemMap.indices`), `now` their jiffies, ascending; every
        latency is known.
        """
        hot = np.zeros(len(indices), np.bool_)
        codes = _code(latency_us)
        at = 0
        while at < len(indices):
            self._look(int(now[at]))
            end = int(np.searchsorted(now, np.uint64(self._due)))
            for turn in _turns(indices[at:end]):  # one fault of each page
                rows = turn + at
                hot[rows] = self._judge(indices[rows], codes[rows])
            at = end
        return hot

    def forget(self, indices: npt.NDArray[np.int64]) -> None:
        """Forget pages that have moved away: what comes into their frames is another."""
        self._pages[indices[indices < len(self._pages)]] = 0

    def _judge(self, indices: npt.NDArray[np.int64], codes: U8Array) -> npt.NDArray[np.bool_]:
        pages = self._pages = reaching(self._pages, int(indices.max()))
        before = pages[indices]
        pages[indices] = codes
        self._codes += np.bincount(codes, minlength=_CODES)
        again = before > 0
        hotter = again & (np.maximum(before, codes) <= self._threshold)
        if self._usual:
            pairs, found = int(np.count_nonzero(again)), int(np.count_nonzero(hotter))
            self._chance.count(pairs, found, self._usual - self._threshold)
        hot = self._hot(codes, hotter)
        passed = int(np.count_nonzero(hot))
        self.passed += passed
        self.over += len(hot) - passed
        return hot

    def _hot(self, codes: U8Array, hotter: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        if self.plenty:
            return np.ones(len(codes), np.bool_)
        if self.room:
            return codes <= _HOT_THRESHOLD
        if self.flat:
            return np.zeros(len(codes), np.bool_)
        return hotter | (codes <= self._threshold - self.hotter)

    @property
    def _threshold(self) -> int:
        return min(max(self._usual - self.hotter, 0), _HOT_THRESHOLD)

    def _look(self, now: int) -> None:
        """Take in what is usual where a period has gone by at `now` jiffies."""
        if now < self._due:
            return
        periods = (now - self._due) // self._period + 1
        self._due += periods * self._period
        if self._codes.sum() >= LEAST_FAULTS:
            up_to = np.cumsum(self._codes)
            self._usual = int(np.searchsorted(up_to, up_to[-1] / 2))
        if excess := self.excess:
            self.flat = excess < (STEEP if self.flat else FLAT)
        self._codes *= FORGETTING**periods
        self._chance.fade(FORGETTING**periods)


class _Chance:
    """Hot pages beside what chance would make of pages that are all accessed alike.

    Accesses that come at random wait exponentially: a latency is then `steps` below the median
    with the probability 1 - 2^-(2^-(steps / STEPS)), and twice in a row with its square.
    """

    def __init__(self) -> None:
        self._pairs = self._found = self._expected = 0.0

    def count(self, pairs: int, found: int, steps: int) -> None:
        """Take in faults of pages that had faulted before, and how many of them were hot."""
        self._pairs += pairs
        self._found += found
        self._expected += pairs * (1 - 2 ** -(2 ** (-steps / STEPS))) ** 2

    def fade(self, weight: float) -> None:
        """Let what there was until now weigh less."""
        self._pairs *= weight
        self._found *= weight
        self._expected *= weight

    @property
    def excess(self) -> float:
        """How many times as many were hot as by chance; 0 where that is not known yet."""
        if self._pairs < LEAST_PAIRS or not self._expected:
            return 0.0
        return self._found / self._expected


def _code(latency_us: npt.NDArray[np.int32]) -> U8Array:
    """Latencies on a scale of STEPS for each doubling, from 1 for less than a microsecond."""
    steps = STEPS * np.log2(latency_us.astype(np.float64) + 1)
    return np.minimum(steps.astype(np.int64) + 1, _CODES - 1).astype(np.uint8)


def _shortest(code: int) -> int:
    """The shortest latency, in microseconds, whose code is above this one."""
    return int(2 ** (code / STEPS)) if code else 0


_HOT_THRESHOLD = int(_code(np.array([HOT_THRESHOLD_US - 1], np.int32))[0])


def _turns(indices: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.intp]]:
    """Rows of the first fault of each page, then of the second of those that have one, ..."""
    order = np.argsort(indices, kind="stable")
    sorted_indices = indices[order]
    first = np.flatnonzero(np.diff(sorted_indices, prepend=-1))
    turn = np.arange(len(indices)) - np.repeat(first, np.diff(first, append=len(indices)))
    for number in range(int(turn.max(initial=-1)) + 1):
        yield np.sort(order[turn == number])
