"""The balance of threads and links in plain Python: bisection, link after link."""

from __future__ import annotations

from pghot.simulated.machine.link_kinds import LinkKind
from pghot.simulated.machine.links import EXTRA_MAX, LINE_BYTES

HALVINGS = 120


class PlainBalance:
    def __init__(self, kinds, groups, shares, extra):
        self.kinds: list[LinkKind] = kinds
        self.groups, self.shares, self.extra = groups, shares, extra
        self.used = [0.0] * len(kinds)
        self.queue = [0.0] * len(kinds)
        for _sweep in range(400):
            before = self.latencies()
            for link in range(len(kinds)):
                self.settle(link)
            after = self.latencies()
            if all(abs(x - y) <= 1e-12 * y for x, y in zip(before, after, strict=True)):
                break
        else:
            raise AssertionError("no balance found")

    def latencies(self):
        return [self.latency(link, 0) for link in range(len(self.kinds))]

    def latency(self, link, stores):
        kind = self.kinds[link]
        u = self.used[link]
        idle = (1 - stores) * kind.read_latency_ns + stores * kind.write_latency_ns
        return idle * (1 + kind.a * u**0.5 / (1 - kind.c * u)) + self.queue[link]

    def access_ns(self, group):
        _threads, think, mlp, stores = self.groups[group]
        shares = self.shares[group]
        return think + sum(
            share * self.latency(link, stores) / mlp for link, share in enumerate(shares)
        )

    def asked(self, link):
        """Utilisation that the threads ask for at the latencies as they are."""
        read = written = 0.0
        for group, (threads, _think, _mlp, stores) in enumerate(self.groups):
            if threads and self.shares[group][link]:
                lines = threads * self.shares[group][link] / self.access_ns(group)
                read += lines * LINE_BYTES
                written += lines * stores * LINE_BYTES
        kind, (more_read, more_written) = self.kinds[link], self.extra[link]
        more = more_read + more_written
        return max(
            read / kind.read_GBps + min(EXTRA_MAX, more_read / kind.read_GBps),
            written / kind.write_GBps + min(EXTRA_MAX, more_written / kind.write_GBps),
            (read + written) / kind.total_GBps + min(EXTRA_MAX, more / kind.total_GBps),
        )

    def settle(self, link):
        self.used[link], self.queue[link] = 1.0, 0.0
        if self.asked(link) >= 1:
            high = 1.0
            while self.asked_with(link, self.queue, high) > 1:
                high *= 2
            self.bisect(link, self.queue, high, lambda _value: 1.0)
        else:
            self.bisect(link, self.used, 1.0, lambda value: value)

    def asked_with(self, link, values, value):
        values[link] = value
        return self.asked(link)

    def bisect(self, link, values, high, wanted):
        low = 0.0
        for _halving in range(HALVINGS):
            middle = (low + high) / 2
            if self.asked_with(link, values, middle) > wanted(middle):
                low = middle
            else:
                high = middle
        values[link] = high
