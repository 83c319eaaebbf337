"""Hot or not by the latency of a hint fault (fidelity `improved`).

The latency is the time from the kernel's making a page prot_none to the access that faults:
numa_hint_fault_latency() of kernel/sched/fair.c, by which NUMA balancing tells hot pages from
lukewarm ones.  An access whose latency is known counts by it, and not by how often its page
faulted: a scan comes round far too seldom for two faults to fall into one window.

While much of the target is free every fault makes its page ready, and while some is, one
latency below the kernel's threshold does, as in the kernel (pgdat_free_space_enough()).  Where
room has to be made by demoting others, a mistake costs two moves.  Then a page is ready when the
mean of its latencies, the last one counting half, is many times shorter than is usual on slow
memory (docs/live.md, "How hot pages are told").  What is usual is measured, so that nothing here
depends on how fast the machine is.  Until second latencies of pages tell more, those go up whose
faults come first of all that the scan has passed over (`marked`).  Where pages that had a shorter
latency than is usual do not have a short one again more often than others, there is nothing to
win, and none is promoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.nibbles import MOST, Nibbles

U8Array = npt.NDArray[np.uint8]
F64Array = npt.NDArray[np.float64]
I64Array = npt.NDArray[np.int64]

UNKNOWN = -1
"""The latency of an access of which it is not known."""

HOT_THRESHOLD_US = 1_000_000
"""The longest threshold: sysctl_numa_balancing_hot_threshold (kernel/sched/fair.c)."""

HEADROOM_SHIFT, PLENTY_SHIFT = 6, 4
"""A target has headroom where more than one in so many (a power of two) of its pages is spare, and
plenty where more than one in so many is."""

PERIOD_MS = 2000
"""Milliseconds between two looks at what latencies are usual."""

FORGETTING = 0.9
"""What faults of an earlier period weigh beside those of the next one."""

LEAST_FAULTS = 256
"""Faults without which nothing is said of what is usual."""

LEAST_PAIRS = 2000
"""Faults of pages that had faulted before, above the usual and below, without which FLAT is not
told."""

WITHIN = 4
"""Latencies up to so many steps above the usual are compared, once all of a scan's are over."""

SURE = 3.0
"""So many standard errors above FLAT fewer tell that something is hotter than the rest."""

FLAT, STEEP = 1.4, 1.7
"""So many times as often a page's latency is short where it was below the usual before: below
FLAT nothing is hotter than the rest, above STEEP something is again."""

STEPS = 4
"""Steps of a code in which latencies are compared, for each doubling."""

LEAST_HOTTER, MOST_HOTTER = 8, 32
"""By how many steps a hot page's latencies are shorter than the usual one: 4 times at least,
256 times where what was promoted did not stay."""

CLEAR, MORE = 3.0, 6
"""While `excess` is below the first of these, heat falls off gradually from page to page: then
latencies must be shorter by so many steps more, or most of what is moved brings little."""

CHANGED, LEAST_SHORT = 2.0, 0.042
"""So many times as many short latencies as when it became flat, or as this share, which chance
makes of pages that are all accessed alike, mean that it is not any more."""

SHORT = 16
"""By how many steps a short latency is shorter than the usual one: 16 times."""

TRIAL_SHIFT = 4
"""Before FLAT can be told, at most one page for so many (a power of two) of the target's is
promoted."""

FIRST_SHIFT = 5
"""Those, of so many pages (a power of two) that were made prot_none, that faulted soonest."""

TRIAL_HOTTER = 12
"""Where it is not known how many were, those whose latencies are 8 times shorter than is usual,
and those MOST_HOTTER in any case.  What is usual seems shorter than it is by then: long latencies
take their time."""

UNDONE = 0.25
"""The share of promoted pages that may be demoted again within a minute."""

_CODES = 128
_EVERY_CODE = np.arange(_CODES, dtype=np.uint8)
_AT_ONCE = 1024
"""Faults whose place among all is looked for at once: it takes memory for every code of each."""

_SHORTEST_LEVEL = 8
"""Levels, of four bits, are doublings of latencies: 1 is below 2 to the power of this and one more
microseconds (0.5 ms), 15 from 8 s on."""


class FaultLatency:
    """Judges hint faults of one target; all that it goes by are the faults, in time order."""

    def __init__(self, hz: int) -> None:
        self.headroom = True
        """Whether the target had headroom at kmigrated's last pass."""
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
        self._on_trial = self._most_on_trial = 0
        self._period = PERIOD_MS * hz // 1000
        self._due = self._period
        self._usual = 0
        self._codes = np.zeros(_CODES)
        self._marked = 0.0
        self._in_doubt = False
        self._again = _Again()
        self._change = _Change()
        self._levels = Nibbles()

    @property
    def usual_us(self) -> int:
        """The latency in microseconds that is usual on slow memory; 0 while nothing is known."""
        return _shortest(self._usual)

    @property
    def threshold_us(self) -> int:
        """The latency in microseconds that a page must stay below."""
        if self.headroom:
            return HOT_THRESHOLD_US
        return _shortest(self._last_of_the_first if self._first_go_up else self._threshold)

    @property
    def resting(self) -> bool:
        """Whether a look now and then is enough: it is flat, and nothing speaks against it."""
        return self.flat and not self._in_doubt

    @property
    def judging(self) -> bool:
        """Whether there were faults whose latency is known."""
        return self.passed + self.over > 0

    @property
    def excess(self) -> float:
        """How many times as often a latency is short where the page's was below the usual before.

        1 where all pages are accessed alike, 0 where it is not known yet.
        """
        return self._again.excess

    def target(self, pages: int, spare: int) -> None:
        """Take in what kmigrated finds of its target: its pages, and those free for others.

        Those are above the promotion watermark, up to which kswapd makes room.
        """
        self.plenty = spare > pages >> PLENTY_SHIFT
        self._most_on_trial = pages >> TRIAL_SHIFT
        self.headroom = spare > pages >> HEADROOM_SHIFT

    def marked(self, pages: int) -> None:
        """Take in that the scan made so many more pages prot_none.

        What has not faulted yet is known so: it is colder than all that has.
        """
        self._marked += pages

    def undone(self, promoted: int, demoted: int) -> None:
        """Take in that of so many promoted pages so many were demoted again within a minute."""
        if demoted > UNDONE * promoted:
            self.hotter = min(self.hotter + STEPS, MOST_HOTTER)
        else:
            self.hotter = max(self.hotter - 1, LEAST_HOTTER)

    def judge(
        self,
        indices: I64Array,
        latency_us: npt.NDArray[np.int32],
        now: npt.NDArray[np.uint64],
        pages: npt.NDArray[np.integer] | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Which accesses make their page ready.

        `indices` are the pages' (`MemMap.indices`), `now` their jiffies, ascending; every
        latency is known.  `pages` are those of the folios, 1 where not given.
        """
        sizes = np.ones(len(indices)) if pages is None else pages.astype(np.float64)
        hot = np.zeros(len(indices), np.bool_)
        codes = _code(latency_us)
        at = 0
        while at < len(indices):
            self._look(int(now[at]))
            end = int(np.searchsorted(now, np.uint64(self._due)))
            first = self._first(codes[at:end], sizes[at:end])
            for turn in _turns(indices[at:end]):  # one fault of each page
                rows = turn + at
                faults = _Faults(
                    indices[rows],
                    now[rows],
                    latency_us[rows],
                    codes[rows],
                    sizes[rows],
                    first[turn],
                )
                hot[rows] = self._judge(faults)
            at = end
        return hot

    def possible(self, latency_us: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Which faults can make their page ready, whatever the page's others were.

        A mean of two is at least half of the last one; of one not known nothing is said.
        """
        if self.plenty:
            return np.ones(len(latency_us), np.bool_)
        if self.flat and not self.headroom:
            return latency_us < 0
        if self._first_go_up and not self.headroom:
            return latency_us <= _shortest(self._last_of_the_first + 1)
        most = HOT_THRESHOLD_US if self.headroom else _shortest(self._threshold + 1)
        return latency_us <= 2 * most

    def forget(self, indices: I64Array) -> None:
        """Forget pages that have moved away: what comes into their frames is another."""
        self._levels.clear(indices)

    def _judge(self, faults: _Faults) -> npt.NDArray[np.bool_]:
        self._codes += np.bincount(faults.codes, faults.pages, minlength=_CODES)
        before = self._levels.get(faults.indices)
        mean: F64Array = faults.latency_us.astype(np.float64)
        mean = np.where(before, (_US_OF[before] + mean) / 2, mean)
        self._levels.set(faults.indices, _level(mean))
        if self._usual:
            self._again.count(before, faults.codes, self._scanned(faults), self._usual)
            self._change.count(faults.codes <= self._usual - SHORT)
        hot = self._hot(_code(mean), faults)
        passed = int(np.count_nonzero(hot))
        self.passed += passed
        self.over += len(hot) - passed
        return hot

    def _scanned(self, faults: _Faults) -> I64Array:
        """The periods in which the pages were scanned."""
        ago = faults.latency_us / (PERIOD_MS * 1000)
        return np.floor(faults.now / self._period - ago).astype(np.int64)

    def _hot(self, means: U8Array, faults: _Faults) -> npt.NDArray[np.bool_]:
        if self.plenty:
            return np.ones(len(means), np.bool_)
        if self.headroom:
            return means <= _HOT_THRESHOLD
        if self.flat:
            return np.zeros(len(means), np.bool_)
        if self._first_go_up:
            return self._tried(faults.first & (means <= _HOT_THRESHOLD), faults.pages)
        hot: npt.NDArray[np.bool_] = means <= self._threshold
        if self.excess:
            return hot
        hottest: npt.NDArray[np.bool_] = means <= self._usual - MOST_HOTTER
        return hottest | self._tried(hot & ~hottest, faults.pages)

    def _tried(self, hot: npt.NDArray[np.bool_], pages: F64Array) -> npt.NDArray[np.bool_]:
        """Of these, what may be promoted before it is known whether it does good."""
        left = self._most_on_trial - self._on_trial
        taken: npt.NDArray[np.bool_] = hot & (np.cumsum(np.where(hot, pages, 0)) <= left)
        self._on_trial += int(pages[taken].sum())
        return taken

    @property
    def _first_go_up(self) -> bool:
        """Whether no page's second latency tells anything yet, and the first of all do."""
        return self._marked > 0 and not self.excess

    @property
    def _places(self) -> float:
        """How many pages the first of all that were made prot_none are."""
        return self._marked / (1 << FIRST_SHIFT)

    @property
    def _last_of_the_first(self) -> int:
        """The longest latency of them so far, as its code."""
        return max(int(np.searchsorted(np.cumsum(self._codes), self._places)) - 1, 0)

    def _first(self, codes: U8Array, pages: F64Array) -> npt.NDArray[np.bool_]:
        """Which of these faults are of the first, each among all up to it."""
        first = np.zeros(len(codes), np.bool_)
        if not self._first_go_up or self.headroom or self.flat:
            return first
        before = np.cumsum(self._codes)
        able = np.flatnonzero(before[codes] < self._places)
        for at in range(0, len(able), _AT_ONCE):
            rows = able[at : at + _AT_ONCE]
            as_short = np.where(codes[rows, None] <= _EVERY_CODE, pages[rows, None], 0)
            up_to = before + np.cumsum(as_short, axis=0)
            first[rows] = up_to[np.arange(len(rows)), codes[rows]] <= self._places
            before = up_to[-1]
        return first

    @property
    def _threshold(self) -> int:
        hotter = max(self.hotter, TRIAL_HOTTER)
        if self.excess:
            hotter = self.hotter + (MORE if self.excess < CLEAR else 0)
        return min(max(self._usual - hotter, 0), _HOT_THRESHOLD)

    def _look(self, now: int) -> None:
        """Take in what is usual where a period has gone by at `now` jiffies."""
        if now < self._due:
            return
        periods = (now - self._due) // self._period + 1
        self._due += periods * self._period
        if self._codes.sum() >= LEAST_FAULTS:
            up_to = np.cumsum(self._codes)
            middle = max(up_to[-1], self._marked) / 2
            longest = int(np.flatnonzero(self._codes)[-1])
            self._usual = min(int(np.searchsorted(up_to, middle)), longest)
        self._again.look(now / self._period)
        if self._change.look(watching=self.resting):
            self._in_doubt = True
            self._again = _Again()
        elif excess := self.excess:
            self.flat = excess < (STEEP if self.flat else FLAT)
            self._in_doubt = False
        if not self._first_go_up:  # else what is first would be first of fewer and fewer
            self._codes *= FORGETTING**periods
            self._marked *= FORGETTING**periods
        self._again.forget(FORGETTING**periods)


class _Faults(NamedTuple):
    """Faults of one page each: when (jiffies), how long each took; whether of the `_first`."""

    indices: I64Array
    now: npt.NDArray[np.uint64]
    latency_us: npt.NDArray[np.int32]
    codes: U8Array
    pages: F64Array
    first: npt.NDArray[np.bool_]


class _Change:
    """Whether far more latencies are short than before: other pages are hot.

    Two faults of each page would tell as well, but a round later.
    """

    def __init__(self) -> None:
        self._faults = self._short = 0
        self._before = 0.0

    def count(self, short: npt.NDArray[np.bool_]) -> None:
        """Take in which faults came soon."""
        self._faults += len(short)
        self._short += int(np.count_nonzero(short))

    def look(self, *, watching: bool) -> bool:
        """Whether CHANGED times as many were short as before; it is remembered while `watching`.

        Else the last period is what the next are compared with.
        """
        if self._faults < LEAST_FAULTS:
            return False
        share = self._short / self._faults
        self._faults = self._short = 0
        if watching and self._before:
            return share > CHANGED * self._before
        self._before = max(share, LEAST_SHORT)
        return False


class _Again:
    """How often a latency is short, by whether the page's were below the usual before.

    Where all pages are accessed alike that makes no difference, in whatever bursts they are.
    Of what the scan has passed over the short latencies are over first, whosever they are: so
    those that are not far above the usual one (WITHIN) count, once all of them are over of what
    was scanned in the same period.
    """

    def __init__(self) -> None:
        self._faults, self._short = np.zeros(2), np.zeros(2)
        self._scanned: dict[int, _Scanned] = {}
        self._over = -1
        self._told = False
        self.excess = 0.0
        """How many times as often after a latency below the usual; 0 where not known yet."""

    def count(self, before: U8Array, codes: U8Array, scanned: I64Array, usual: int) -> None:
        """Take in faults: the levels of their pages before, and when those were scanned."""
        again = np.flatnonzero(before)
        for period in distinct(scanned[again]).tolist():
            if period in self._scanned or period > self._over:
                nothing = _Scanned(usual, np.zeros(2), np.zeros(2))
                rows = again[scanned[again] == period]
                self._scanned.setdefault(period, nothing).add(before[rows], codes[rows])

    def look(self, now: float) -> None:
        """Find out what they say at the time `now`, in periods.

        What was told stays until they are enough again.
        """
        for period in sorted(self._scanned):
            one = self._scanned[period]
            if period + 1 + one.longest_ms / PERIOD_MS <= now:
                self._faults += one.faults
                self._short += one.short
                self._over = max(self._over, period)
                del self._scanned[period]
        self._told = False
        least = float(self._faults.min())
        if not least:
            return
        above, below = ((self._short + 0.5) / (self._faults + 1)).tolist()
        error = float(np.sqrt((1 / (self._short + 0.5)).sum()))  # of the ratio's logarithm
        if least >= LEAST_PAIRS or below / above > FLAT * np.exp(SURE * error):
            self.excess, self._told = below / above, True

    def forget(self, weight: float) -> None:
        """Let what has told something weigh less; few faults are kept until they do."""
        if self._told:
            self._faults *= weight
            self._short *= weight


class _Scanned(NamedTuple):
    """Faults of what was scanned in one period, by whether the page was below the usual."""

    usual: int
    faults: F64Array
    short: F64Array

    @property
    def longest_ms(self) -> float:
        """The longest latency that counts."""
        return _shortest(self.usual + WITHIN) / 1000

    def add(self, before: U8Array, codes: U8Array) -> None:
        """Take in faults, by the levels of their pages before."""
        counting = codes <= self.usual + WITHIN
        below = _CODE_OF[before[counting]] < self.usual
        short = codes[counting] <= self.usual - SHORT
        self.faults[:] += np.bincount(below, minlength=2)
        self.short[:] += np.bincount(below, short, minlength=2)


def _code(latency_us: npt.NDArray[np.int32] | F64Array) -> U8Array:
    """Latencies on a scale of STEPS for each doubling, from 1 for less than a microsecond."""
    steps = STEPS * np.log2(latency_us.astype(np.float64) + 1)
    return np.minimum(steps.astype(np.int64) + 1, _CODES - 1).astype(np.uint8)


def _level(us: F64Array) -> U8Array:
    """The levels of latencies in microseconds."""
    doublings = np.floor(np.log2(np.maximum(us, 1)))
    return np.clip(doublings - _SHORTEST_LEVEL + 1, 1, MOST).astype(np.uint8)


def _shortest(code: int) -> int:
    """The shortest latency, in microseconds, whose code is above this one."""
    return int(2 ** (code / STEPS)) if code else 0


_US_OF = 2.0 ** (np.arange(MOST + 1, dtype=np.float64) + _SHORTEST_LEVEL - 0.5)
"""Microseconds that those of each level have."""

_CODE_OF = _code(_US_OF)

_HOT_THRESHOLD = int(_code(np.array([HOT_THRESHOLD_US - 1], np.int32))[0])


def _turns(indices: I64Array) -> Iterator[npt.NDArray[np.intp]]:
    """Rows of the first fault of each page, then of the second of those that have one, ..."""
    order = np.argsort(indices, kind="stable")
    sorted_indices = indices[order]
    first = np.flatnonzero(np.diff(sorted_indices, prepend=-1))
    turn = np.arange(len(indices)) - np.repeat(first, np.diff(first, append=len(indices)))
    for number in range(int(turn.max(initial=-1)) + 1):
        yield np.sort(order[turn == number])
