"""What an access costs under the present load: threads and links in balance.

A group of threads makes an access every `think + sum over links of share * L / mlp` ns, where
L is the latency of the link now: (1 - s) reads and s writes, s the share of stores.  A load
reads a line of 64 bytes; a store reads it too and writes it back later.  A link's utilisation
u is the largest of read, written and total bytes over their caps.  L is L0 * (1 + a * sqrt(u)
/ (1 - c * u)); where the threads would ask for more than a cap even at u = 1, a queueing
delay comes on top, as long as makes u just 1.  The loop is closed: threads wait for what they
asked for, so a link is never asked for more than it can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.simulated.link_kinds import LinkKind

Floats = npt.NDArray[np.float64]

LINE_BYTES = 64

EXTRA_MAX = 0.95
"""Share of a cap that extra traffic gets at most; what makes it has to wait for the rest."""

TOLERANCE = 1e-10
"""Relative change of a latency below which a sweep over the links ends the search."""

LEAST_NS = 1e-9
"""Time of an access that no link and no thinking takes: none does, but none divides by it."""

SWEEPS = 400
STEPS = 80

THREADS, THINK_NS, MLP, STORE_SHARE = range(4)
"""Columns of a group of threads."""

_READ_NS, _WRITE_NS, _READ_CAP, _WRITE_CAP, _TOTAL_CAP, _A, _C = range(7)
_COLUMNS = (
    "read_latency_ns", "write_latency_ns", "read_GBps", "write_GBps", "total_GBps", "a", "c",
)  # fmt: skip
_ROOT, _QUEUE = range(2)


class Load(NamedTuple):
    """Time of an access of one thread, by group (ns); by link, utilisation and latencies."""

    access_ns: Floats
    utilisation: Floats
    read_latency_ns: Floats
    write_latency_ns: Floats


class LinkSolver:
    """Finds the balance for given links, from the one that was found before."""

    def __init__(self, kinds: Sequence[LinkKind]) -> None:
        rows = [[getattr(kind, name) for name in _COLUMNS] for kind in kinds]
        self._kinds: Floats = np.array(rows, np.float64).reshape(len(rows), 7)
        self._state: Floats = np.zeros((len(rows), 2))

    def solve(self, groups: Floats, shares: Floats, extra: Floats) -> Load:
        """Give the balance of groups of threads and extra traffic.

        groups: shape (groups, 4): threads running (a real number, >= 0), think time between
            accesses in ns, accesses under way at once (> 0), share of stores.
        shares: shape (groups, links): share of the group's accesses that go over each link;
            a row may sum to less than 1 (the rest is served by caches).
        extra: shape (links, 2): GB/s that others read and write there, as pages that move
            do.  It counts up to `EXTRA_MAX` of each cap.
        """
        access_ns, load = np.empty(len(groups)), np.empty((3, len(self._kinds)))
        balance(groups, shares, self._kinds, extra, self._state, access_ns, load)
        return Load(access_ns, load[0], load[1], load[2])


@compiled
def latency_factor(root: Any, a: Any, c: Any) -> Any:
    """Give L / L0 at a utilisation of `root` squared."""
    return 1.0 + a * root / (1.0 - c * root * root)


@compiled
def balance(
    groups: Any, shares: Any, kinds: Any, extra: Any, state: Any, access_ns: Any, load: Any
) -> None:
    """Sweep over the links, each brought into balance with the others as they are now.

    `state` holds, by link, the root of its utilisation and its queueing delay in ns; the
    search begins there and leaves there what it found.
    """
    count, links = shares.shape
    terms = np.empty((count, 3))
    bytes_ns = np.empty((count, 3))
    taken = np.zeros(3)
    for _sweep in range(SWEEPS):
        worst = 0.0
        for link in range(links):
            lay_out(groups, shares, kinds, extra, state, link, terms, bytes_ns, taken)
            root, queue = state[link]
            found, delay = settle(kinds[link], terms, bytes_ns, taken, root, queue)
            state[link, _ROOT], state[link, _QUEUE] = found, delay
            a, c, idle = kinds[link, _A], kinds[link, _C], kinds[link, _READ_NS]
            was = latency_factor(root, a, c) * idle + queue
            now = latency_factor(found, a, c) * idle + delay
            worst = max(worst, abs(now - was) / now)
        if worst < TOLERANCE:
            break
    for group in range(count):
        access_ns[group] = groups[group, THINK_NS] + waiting(
            groups, shares, kinds, state, group, -1
        )
    for link in range(links):
        root, queue = state[link]
        factor = latency_factor(root, kinds[link, _A], kinds[link, _C])
        load[0, link] = root * root
        load[1, link] = kinds[link, _READ_NS] * factor + queue
        load[2, link] = kinds[link, _WRITE_NS] * factor + queue


@compiled
def waiting(groups: Any, shares: Any, kinds: Any, state: Any, group: int, but: int) -> float:
    """Give the ns that an access of the group waits for links, all but one."""
    stores = groups[group, STORE_SHARE]
    total = 0.0
    for link in range(shares.shape[1]):
        if link != but and shares[group, link] > 0.0:
            idle = (1.0 - stores) * kinds[link, _READ_NS] + stores * kinds[link, _WRITE_NS]
            factor = latency_factor(state[link, _ROOT], kinds[link, _A], kinds[link, _C])
            total += shares[group, link] * (idle * factor + state[link, _QUEUE])
    return total / groups[group, MLP]


@compiled
def lay_out(
    groups: Any, shares: Any, kinds: Any, extra: Any, state: Any, link: int,
    terms: Any, bytes_ns: Any, taken: Any,
) -> None:  # fmt: skip
    """Write what one link's balance needs.

    An access of group g takes `terms[g] . (1, factor, queue)` ns; with all its threads the
    group uses `bytes_ns[g] / that` of the read, write and total caps; others use `taken`.
    """
    for group in range(shares.shape[0]):
        share, stores = shares[group, link], groups[group, STORE_SHARE]
        mlp, threads = groups[group, MLP], groups[group, THREADS]
        idle = (1.0 - stores) * kinds[link, _READ_NS] + stores * kinds[link, _WRITE_NS]
        terms[group, 0] = groups[group, THINK_NS] + waiting(
            groups, shares, kinds, state, group, link
        )
        terms[group, 1] = share * idle / mlp
        terms[group, 2] = share / mlp
        lines = threads * share * LINE_BYTES
        bytes_ns[group, 0] = lines / kinds[link, _READ_CAP]
        bytes_ns[group, 1] = lines * stores / kinds[link, _WRITE_CAP]
        bytes_ns[group, 2] = lines * (1.0 + stores) / kinds[link, _TOTAL_CAP]
    read, written = extra[link]
    taken[0] = min(read / kinds[link, _READ_CAP], EXTRA_MAX)
    taken[1] = min(written / kinds[link, _WRITE_CAP], EXTRA_MAX)
    taken[2] = min((read + written) / kinds[link, _TOTAL_CAP], EXTRA_MAX)


@compiled
def most_used(terms: Any, bytes_ns: Any, taken: Any, factor: float) -> Any:
    """Give the largest use of the caps, no queue, and its derivative by the factor."""
    read, written, both = taken[0], taken[1], taken[2]
    read_slope = write_slope = both_slope = 0.0
    for group in range(len(terms)):
        pace = 1.0 / max(terms[group, 0] + terms[group, 1] * factor, LEAST_NS)
        slope = -pace * pace * terms[group, 1]
        read += bytes_ns[group, 0] * pace
        written += bytes_ns[group, 1] * pace
        both += bytes_ns[group, 2] * pace
        read_slope += bytes_ns[group, 0] * slope
        write_slope += bytes_ns[group, 1] * slope
        both_slope += bytes_ns[group, 2] * slope
    if read >= written and read >= both:
        return read, read_slope
    return (both, both_slope) if both >= written else (written, write_slope)


@compiled
def settle(kind: Any, terms: Any, bytes_ns: Any, taken: Any, root: float, queue: float) -> Any:
    """Give the root of the utilisation and the queueing delay that one link comes to rest at."""
    full = latency_factor(1.0, kind[_A], kind[_C])
    if most_used(terms, bytes_ns, taken, full)[0] < 1.0:
        return root_of_use(kind, terms, bytes_ns, taken, root), 0.0
    delay = 0.0
    for cap in range(3):
        delay = max(delay, queueing(terms, bytes_ns, taken, full, queue, cap))
    return 1.0, delay


@compiled
def queueing(terms: Any, bytes_ns: Any, taken: Any, full: float, queue: float, cap: int) -> float:
    """Give the delay in ns at which a cap is used in full; 0 where it is not even without.

    Newton's method on 1 / use, which is concave in the delay (straight for one group): from
    below it comes near without passing.
    """
    room = 1.0 - taken[cap]
    for _step in range(STEPS):
        own = slope = 0.0
        for group in range(len(terms)):
            pace = 1.0 / max(
                terms[group, 0] + terms[group, 1] * full + terms[group, 2] * queue, LEAST_NS
            )
            own += bytes_ns[group, cap] * pace
            slope += bytes_ns[group, cap] * pace * pace * terms[group, 2]
        if slope == 0.0:
            return 0.0
        after = max(0.0, queue + (own / room - 1.0) * own / slope)
        if abs(after - queue) <= 1e-14 * (after + 1.0):
            return after
        queue = after
    return queue


@compiled
def root_of_use(kind: Any, terms: Any, bytes_ns: Any, taken: Any, root: float) -> float:
    """Give y with `use(y) == y * y`: use falls as y rises, so there is one, in [0, 1].

    Newton's method, kept between what is known to be too low and too high.
    """
    low, high = 0.0, 1.0
    a, c = kind[_A], kind[_C]
    if most_used(terms, bytes_ns, taken, 1.0)[0] == 0.0:
        return 0.0
    if not 0.0 < root < 1.0:
        root = 0.5
    for _step in range(STEPS):
        square = c * root * root
        total, slope = most_used(terms, bytes_ns, taken, latency_factor(root, a, c))
        gap = total - root * root
        if gap > 0.0:
            low = root
        else:
            high = root
        slope = slope * a * (1.0 + square) / ((1.0 - square) * (1.0 - square)) - 2.0 * root
        after = root - gap / slope if slope < 0.0 else 0.0
        if not low <= after <= high:
            after = 0.5 * (low + high)
        if abs(after - root) <= 1e-13:
            return after
        root = after
    return root
