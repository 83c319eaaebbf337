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
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.simulated.machine.link_kinds import LinkKind

if cython.compiled:
    from cython.cimports.libc.math import fabs
    from cython.cimports.pghot.engine.arrays import f64
else:
    from math import fabs

    from pghot.engine.arrays import f64

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

_LINE_BYTES = cython.declare(cython.double, LINE_BYTES)
_EXTRA_MAX = cython.declare(cython.double, EXTRA_MAX)
_TOLERANCE = cython.declare(cython.double, TOLERANCE)
_LEAST_NS = cython.declare(cython.double, LEAST_NS)
_SWEEPS = cython.declare(cython.int, SWEEPS)
_STEPS = cython.declare(cython.int, STEPS)

_COLUMNS = (
    "read_latency_ns", "write_latency_ns", "read_GBps", "write_GBps", "total_GBps", "a", "c",
)  # fmt: skip


class Load(NamedTuple):
    """Time of an access of one thread, by group (ns); by link, utilisation and latencies."""

    access_ns: Floats
    utilisation: Floats
    read_latency_ns: Floats
    write_latency_ns: Floats


class LinkSolver:
    """Solves the loaded latencies of given links, starting from the last solution."""

    def __init__(self, kinds: Sequence[LinkKind]) -> None:
        columns = [[getattr(kind, name) for kind in kinds] for name in _COLUMNS]
        self._count = len(kinds)
        self._links = _Links(np.array(columns, np.float64).reshape(7, len(kinds)))

    def solve(self, groups: Floats, shares: Floats, extra: Floats) -> Load:
        """The balance of groups of threads and extra traffic.

        groups: shape (groups, 4): threads running (a real number, >= 0), think time between
            accesses in ns, accesses under way at once (> 0), share of stores.
        shares: shape (groups, links): share of the group's accesses that go over each link;
            a row may sum to less than 1 (the rest is served by caches).
        extra: shape (links, 2): GB/s that others read and write there, as pages that move
            do.  It counts up to `EXTRA_MAX` of each cap.
        """
        access_ns, load = np.empty(len(groups)), np.empty((3, self._count))
        self._links.balance(_Groups(groups, shares, extra), access_ns, load)
        return Load(access_ns, load[0], load[1], load[2])


@cython.final
@cython.cclass
class _Groups:
    """What `LinkSolver.solve` is given, and room for what one link's balance needs.

    `terms` has six numbers a group.  An access takes the first three . (1, factor, queue) ns;
    with all its threads the group uses the other three / that of the read, write and total
    caps.
    """

    arrays: object
    count: cython.int
    rows: cython.p_double
    shares: cython.p_double
    extra: cython.p_double
    terms: cython.p_double

    def __init__(self, rows: Floats, shares: Floats, extra: Floats) -> None:
        self.count = len(rows)
        rows = np.asarray(rows, np.float64).ravel()
        shares = np.asarray(shares, np.float64).ravel()
        extra = np.asarray(extra, np.float64).ravel()
        terms = np.empty(6 * self.count)
        self.rows, self.shares, self.extra = f64(rows), f64(shares), f64(extra)
        self.terms = f64(terms)
        self.arrays = rows, shares, extra, terms  # which the pointers do not keep

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def threads(self, group: cython.int) -> cython.double:
        """Threads that run."""
        return self.rows[4 * group]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def think_ns(self, group: cython.int) -> cython.double:
        """Time between a thread's accesses."""
        return self.rows[4 * group + 1]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def mlp(self, group: cython.int) -> cython.double:
        """Accesses of a thread under way at once."""
        return self.rows[4 * group + 2]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def stores(self, group: cython.int) -> cython.double:
        """Share of stores."""
        return self.rows[4 * group + 3]


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _factor(root: cython.double, a: cython.double, c: cython.double) -> cython.double:
    """L / L0 at a utilisation of `root` squared."""
    return 1.0 + a * root / (1.0 - c * root * root)


@cython.final
@cython.cclass
class _Links:
    """The links, each with the root of its utilisation and its queueing delay in ns.

    A search for balance begins with these and leaves there what it found; `factor` is L / L0
    at the root.  `taken` is what others use of the three caps of the link in question, `slope`
    what `most_used` finds.  `kinds` has a row for each of _COLUMNS.
    """

    arrays: object
    count: cython.int
    read_ns: cython.p_double
    write_ns: cython.p_double
    read_cap: cython.p_double
    write_cap: cython.p_double
    total_cap: cython.p_double
    a: cython.p_double
    c: cython.p_double
    root: cython.p_double
    factor: cython.p_double
    queue: cython.p_double
    taken: cython.p_double
    slope: cython.double

    def __init__(self, kinds: Floats) -> None:
        self.count = kinds.shape[1]
        state, taken = np.zeros((3, self.count)), np.zeros(3)
        state[1] = 1.0
        self.read_ns, self.write_ns = f64(kinds[0]), f64(kinds[1])
        self.read_cap, self.write_cap = f64(kinds[2]), f64(kinds[3])
        self.total_cap = f64(kinds[4])
        self.a, self.c = f64(kinds[5]), f64(kinds[6])
        self.root, self.factor, self.queue = f64(state[0]), f64(state[1]), f64(state[2])
        self.taken = f64(taken)
        self.arrays = kinds, state, taken  # which the pointers do not keep

    def balance(self, of: _Groups, access_ns: Floats, load: Floats) -> None:
        """Sweep over the links, each brought into balance with the others as they are now.

        Writes what `Load` has: ns by group; by link, a row each, utilisation and latencies.
        """
        took: cython.p_double = f64(access_ns)
        found: cython.p_double = f64(load.ravel())
        links: cython.int = self.count
        _sweep: cython.int
        group: cython.int
        link: cython.int
        with cython.nogil:
            for _sweep in range(_SWEEPS):
                if self.sweep(of) < _TOLERANCE:
                    break
            for group in range(of.count):
                took[group] = of.think_ns(group) + self.waiting(of, group, -1)
            for link in range(links):
                found[link] = self.root[link] * self.root[link]
                found[links + link] = self.latency(self.read_ns[link], link)
                found[2 * links + link] = self.latency(self.write_ns[link], link)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def sweep(self, of: _Groups) -> cython.double:
        """Balance every link in turn; the largest relative change of a latency by it."""
        worst: cython.double = 0.0
        was: cython.double
        now: cython.double
        link: cython.int
        for link in range(self.count):
            was = self.latency(self.read_ns[link], link)
            self.lay_out(of, link)
            self.settle(of, link)
            self.factor[link] = _factor(self.root[link], self.a[link], self.c[link])
            now = self.latency(self.read_ns[link], link)
            worst = max(worst, fabs(now - was) / now)
        return worst

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def latency(self, idle_ns: cython.double, link: cython.int) -> cython.double:
        """Latency now, in ns, of what takes `idle_ns` without load."""
        return idle_ns * self.factor[link] + self.queue[link]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def idle_ns(self, of: _Groups, group: cython.int, link: cython.int) -> cython.double:
        """L0 of a group's mix of loads and stores."""
        stores: cython.double = of.stores(group)
        return (1.0 - stores) * self.read_ns[link] + stores * self.write_ns[link]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def waiting(self, of: _Groups, group: cython.int, but: cython.int) -> cython.double:
        """Time that an access of the group waits for links, all but one, in ns."""
        total: cython.double = 0.0
        share: cython.double
        link: cython.int
        for link in range(self.count):
            share = of.shares[group * self.count + link]
            if link != but and share > 0.0:
                total += share * self.latency(self.idle_ns(of, group, link), link)
        return total / of.mlp(group)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def lay_out(self, of: _Groups, link: cython.int) -> cython.void:
        """Write what one link's balance needs: `terms` of all groups, and `taken`."""
        share: cython.double
        lines: cython.double
        stores: cython.double
        read: cython.double = of.extra[2 * link]
        written: cython.double = of.extra[2 * link + 1]
        group: cython.int
        at: cython.int
        for group in range(of.count):
            at = 6 * group
            share = of.shares[group * self.count + link]
            stores = of.stores(group)
            lines = of.threads(group) * share * _LINE_BYTES
            of.terms[at] = of.think_ns(group) + self.waiting(of, group, link)
            of.terms[at + 1] = share * self.idle_ns(of, group, link) / of.mlp(group)
            of.terms[at + 2] = share / of.mlp(group)
            of.terms[at + 3] = lines / self.read_cap[link]
            of.terms[at + 4] = lines * stores / self.write_cap[link]
            of.terms[at + 5] = lines * (1.0 + stores) / self.total_cap[link]
        self.taken[0] = min(read / self.read_cap[link], _EXTRA_MAX)
        self.taken[1] = min(written / self.write_cap[link], _EXTRA_MAX)
        self.taken[2] = min((read + written) / self.total_cap[link], _EXTRA_MAX)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def most_used(self, of: _Groups, factor: cython.double) -> cython.double:
        """Largest use of the caps, no queue; `slope` is then its derivative by the factor."""
        read: cython.double = self.taken[0]
        written: cython.double = self.taken[1]
        both: cython.double = self.taken[2]
        read_slope: cython.double = 0.0
        write_slope: cython.double = 0.0
        both_slope: cython.double = 0.0
        pace: cython.double
        slope: cython.double
        group: cython.int
        at: cython.int
        for group in range(of.count):
            at = 6 * group
            pace = 1.0 / max(of.terms[at] + of.terms[at + 1] * factor, _LEAST_NS)
            slope = -pace * pace * of.terms[at + 1]
            read += of.terms[at + 3] * pace
            written += of.terms[at + 4] * pace
            both += of.terms[at + 5] * pace
            read_slope += of.terms[at + 3] * slope
            write_slope += of.terms[at + 4] * slope
            both_slope += of.terms[at + 5] * slope
        if read >= written and read >= both:
            self.slope = read_slope
            return read
        self.slope = both_slope if both >= written else write_slope
        return max(both, written)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def settle(self, of: _Groups, link: cython.int) -> cython.void:
        """Bring one link to rest: the root of its utilisation, and its queueing delay."""
        full: cython.double = _factor(1.0, self.a[link], self.c[link])
        delay: cython.double = 0.0
        cap: cython.int
        if self.most_used(of, full) < 1.0:
            self.root[link] = self.root_of_use(of, link)
            self.queue[link] = 0.0
            return
        for cap in range(3):
            delay = max(delay, self.queueing(of, full, self.queue[link], cap))
        self.root[link] = 1.0
        self.queue[link] = delay

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def queueing(
        self, of: _Groups, full: cython.double, queue: cython.double, cap: cython.int
    ) -> cython.double:
        """Delay in ns at which a cap is used in full; 0 where it is not even without.

        Newton's method on 1 / use, which is concave in the delay (straight for one group):
        from below it comes near without passing.
        """
        room: cython.double = 1.0 - self.taken[cap]
        own: cython.double
        slope: cython.double
        pace: cython.double
        after: cython.double
        _step: cython.int
        group: cython.int
        at: cython.int
        for _step in range(_STEPS):
            own = 0.0
            slope = 0.0
            for group in range(of.count):
                at = 6 * group
                pace = of.terms[at] + of.terms[at + 1] * full + of.terms[at + 2] * queue
                pace = 1.0 / max(pace, _LEAST_NS)
                own += of.terms[at + 3 + cap] * pace
                slope += of.terms[at + 3 + cap] * pace * pace * of.terms[at + 2]
            if slope == 0.0:
                return 0.0
            after = max(0.0, queue + (own / room - 1.0) * own / slope)
            if fabs(after - queue) <= 1e-14 * (after + 1.0):
                return after
            queue = after
        return queue

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def root_of_use(self, of: _Groups, link: cython.int) -> cython.double:
        """The y with `use(y) == y * y`: use falls as y rises, so there is one, in [0, 1].

        Newton's method, kept between what is known to be too low and too high.
        """
        low: cython.double = 0.0
        high: cython.double = 1.0
        a: cython.double = self.a[link]
        c: cython.double = self.c[link]
        root: cython.double = self.root[link]
        square: cython.double
        slope: cython.double
        after: cython.double
        gap: cython.double
        _step: cython.int
        if self.most_used(of, 1.0) == 0.0:
            return 0.0
        if not 0.0 < root < 1.0:
            root = 0.5
        for _step in range(_STEPS):
            square = c * root * root
            gap = self.most_used(of, _factor(root, a, c)) - root * root
            if gap > 0.0:
                low = root
            else:
                high = root
            slope = self.slope * a * (1.0 + square) / ((1.0 - square) * (1.0 - square))
            slope -= 2.0 * root
            after = root - gap / slope if slope < 0.0 else 0.0
            if not low <= after <= high:
                after = 0.5 * (low + high)
            if fabs(after - root) <= 1e-13:
                return after
            root = after
        return root
