"""How hint faults are judged by their latency, in a model: what is promoted, what that brings.

384,000 pages, of which the top tier has room for 186,000, placed at random; accesses come at
random, half a million a second.  The scan goes round over the pages as fast as a budget of
hint faults allows, 20 s of which may be spent at first, as in a live run; `FaultLatency` of the
engine judges each fault.  Whatever is promoted pushes out pages that were not accessed for 10 s
as far as there are any.  Served fast is the share of accesses that miss a cache of 1 MiB.  No
time is read: the same seed gives the same table.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.fault_latency import FaultLatency

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

PAGES, ROOM = 384_000, 186_000
ACCESSES = 5e5
"""A second."""
LINES, A_PAGE = 1 << 14, 64
"""Of the cache, and of a page."""
HZ = 1000
STEP_S = 0.1
SAVED_S = 20
OLD_S = 10.0
LEAST_AGED = 0.02
"""Of pages that were accessed in the last 10 s, the share that is pushed out all the same."""
LOADS = ("zipf", "300", "600", "1200", "uniform")
"""Zipf 0.99; so many of 1,500 MiB hot, nine accesses of ten; all alike."""


def heat(load: str, random: np.random.Generator) -> F64:
    """Of each page the share of accesses."""
    if load == "zipf":
        shares = 1 / np.arange(1, PAGES + 1) ** 0.99
    elif load == "uniform":
        shares = np.ones(PAGES)
    else:
        hot = int(load) << 8
        shares = np.full(PAGES, 0.1 / (PAGES - hot))
        shares[:hot] = 0.9 / hot
    return random.permutation(shares / shares.sum())


def misses(shares: F64) -> F64:
    """Of each page the share of accesses that miss the cache (Che's approximation)."""
    age = 1.0
    for _ in range(60):
        age *= LINES / ((1 - np.exp(-shares / A_PAGE * age)).sum() * A_PAGE)
    missed = shares * np.exp(-shares / A_PAGE * age)
    return missed / missed.sum()


class Scan:
    """Makes pages prot_none, as fast as the faults that come of it may cost."""

    def __init__(self, faults_a_second: float) -> None:
        self._budget = faults_a_second
        self._saved = SAVED_S * faults_a_second
        self._rate = self._at = self._faults = 0.0
        self._steps = 0

    def next(self, faults: int, *, resting: bool) -> I64:
        """Pages of the next step, after one that brought so many faults."""
        self._saved = min(self._saved + self._budget * STEP_S - faults, SAVED_S * self._budget)
        self._faults += faults
        if self._steps % round(1 / STEP_S) == 0:
            self._adapt(resting=resting)
        self._steps += 1
        count = int(self._rate * STEP_S)
        pages = (int(self._at) + np.arange(count)) % PAGES
        self._at = (self._at + count) % PAGES
        return pages

    def _adapt(self, *, resting: bool) -> None:
        goal = self._budget * (1 + 0.25 * self._saved / self._budget if self._saved > 0 else 0.8)
        if resting:
            goal = 0.25 * self._budget
        wanted = self._rate * min(max(goal / max(self._faults, 1), 0.25), 2)
        self._rate = min(max(wanted, 256), 65536) if self._steps else 65536
        self._faults = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a load."""

    load: str
    start: float
    whole: float
    second: float
    end: float
    promoted: int
    faults: int
    flat_after_s: float | None
    excess: float


class Machine:
    """The pages: which are fast, which wait for the access that faults."""

    def __init__(self, load: str, random: np.random.Generator) -> None:
        self.random = random
        shares = heat(load, random)
        self.rate = shares * ACCESSES
        self.weight = misses(shares)
        self.fast = np.zeros(PAGES, np.bool_)
        self.fast[random.permutation(PAGES)[:ROOM]] = True
        self.judge = FaultLatency(HZ)
        self.judge.target(ROOM, 0)
        self._marked_at = np.full(PAGES, np.inf)
        self._faults_at = np.full(PAGES, np.inf)

    def mark(self, pages: I64, now_s: float) -> None:
        """Make slow pages prot_none; those that are stay as they are."""
        slow = pages[~self.fast[pages]]
        self.judge.marked(len(slow))
        fresh = slow[np.isinf(self._marked_at[slow])]
        self._marked_at[fresh] = now_s
        self._faults_at[fresh] = now_s + self.random.exponential(1 / self.rate[fresh])

    def fault(self, now_s: float) -> tuple[int, int]:
        """Take the faults up to now, and promote what is ready: how many of both."""
        pages = np.flatnonzero(self._faults_at <= now_s)
        at = self._faults_at[pages]
        order = np.argsort(at)
        pages, at = pages[order], at[order]
        latency_us = (at - self._marked_at[pages]) * 1e6
        ready = self.judge.judge(pages, latency_us.astype(np.int32), (at * HZ).astype(np.uint64))
        self._marked_at[pages] = self._faults_at[pages] = np.inf
        self._promote(pages[ready])
        return len(pages), int(np.count_nonzero(ready))

    def _promote(self, pages: I64) -> None:
        self.fast[pages] = True
        self.judge.forget(pages)
        fast = np.flatnonzero(self.fast)
        over = len(fast) - ROOM
        while over > 0:
            tried = np.unique(self.random.choice(fast, 4 * over + 64))
            old = np.maximum(np.exp(-self.rate[tried] * OLD_S), LEAST_AGED)
            tried = self.random.permutation(tried[self.random.random(len(tried)) < old])
            out = tried[self.fast[tried]][:over]
            self.fast[out] = False
            self.judge.forget(out)
            over -= len(out)


def run(load: str, seconds: float, budget: float, seed: int) -> Outcome:
    """Let a load run."""
    machine, scan = Machine(load, np.random.default_rng(seed)), Scan(budget)
    served, promoted, faults, flat_after = [], 0, 0, None
    for step in range(round(seconds / STEP_S)):
        now_s = step * STEP_S
        came, ready = machine.fault(now_s)
        machine.mark(scan.next(came, resting=machine.judge.resting), now_s)
        faults, promoted = faults + came, promoted + ready
        served.append(float(machine.weight[machine.fast].sum()))
        if machine.judge.flat and flat_after is None:
            flat_after = now_s
    half = served[len(served) // 2 :]
    shares = (served[0], float(np.mean(served)), float(np.mean(half)), served[-1])
    return Outcome(load, *shares, promoted, faults, flat_after, machine.judge.excess)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument("--seconds", type=float, default=82)
    parser.add_argument("--faults", type=float, default=5000, help="a second, in the long run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = [run(load, args.seconds, args.faults, args.seed) for load in args.load or LOADS]
    if args.json:
        print(json.dumps([one.__dict__ for one in found], indent=1))
        return
    print(f"{'load':8} {'start':>6} {'whole':>6} {'2nd':>6} {'end':>6} {'moves':>7} {'faults':>8}")
    for one in found:
        shares = f"{one.start:6.1%} {one.whole:6.1%} {one.second:6.1%} {one.end:6.1%}"
        flat = "" if one.flat_after_s is None else f"  flat after {one.flat_after_s:.0f} s"
        counts = f"{one.promoted:7,} {one.faults:8,}"
        print(f"{one.load:8} {shares} {counts}  excess {one.excess:.2f}{flat}")


if __name__ == "__main__":
    main()
