"""The simulated machine walked access by access: what the bulk of `World` stands for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple


class Walk(NamedTuple):
    """What came of it."""

    run_s: float
    fast: int
    """Accesses to pages that were fast."""
    noticed: int
    """Hint faults, or samples."""
    promoted: int


class Machine(NamedTuple):
    """Pages that all start slow and threads that access them evenly.

    An access occupies its thread for `slow_s` or `fast_s`.  Pages on the slow node are marked
    at `marks_s`; with `period`, an op in `ops_per_access` is an access, and each CPU's counter
    runs over after `period` ops less 0 to 15.  Whatever is noticed is promoted at the next
    of kmigrated's wakes, `sleep_s` apart.
    """

    pages: int
    accesses: int
    threads: int
    slow_s: float
    fast_s: float
    sleep_s: float
    marks_s: Sequence[float] = ()
    period: int = 0
    ops_per_access: int = 1


def walk(machine: Machine, rng: random.Random) -> Walk:
    """Make the accesses one after the other; the threads take equal parts of the time."""
    time, fast, noticed = 0.0, 0, 0
    is_fast = [False] * machine.pages
    marked: set[int] = set()
    hot: set[int] = set()
    wakes, marks = machine.sleep_s, list(machine.marks_s)
    counters = [start(machine, rng) for _ in range(machine.threads)]
    for _ in range(machine.accesses):
        while min(wakes, marks[0] if marks else wakes) <= time:
            if marks and marks[0] <= wakes:
                marks.pop(0)
                marked |= {page for page in range(machine.pages) if not is_fast[page]}
                continue
            for page in hot:
                is_fast[page] = True
            marked -= hot
            hot.clear()
            wakes += machine.sleep_s
        page = rng.randrange(machine.pages)
        fast += is_fast[page]
        time += (machine.fast_s if is_fast[page] else machine.slow_s) / machine.threads
        found = page in marked
        marked.discard(page)
        if machine.period:
            found = sampled(machine, counters, rng)
        if found:
            noticed += 1
            if not is_fast[page]:
                hot.add(page)
    return Walk(time, fast, noticed, sum(is_fast))


def start(machine: Machine, rng: random.Random) -> int:
    """The ops until a counter that starts anew runs over."""
    return machine.period - rng.randrange(16)


def sampled(machine: Machine, counters: list[int], rng: random.Random) -> bool:
    """Let some CPU do the ops of an access, which is the last of them; tell if it is tagged."""
    cpu = rng.randrange(machine.threads)
    counters[cpu] -= machine.ops_per_access
    last = counters[cpu] == 0
    if counters[cpu] <= 0:
        counters[cpu] += start(machine, rng)
    return last
