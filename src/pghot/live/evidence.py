"""What can be known while a run goes on of whether it helps.

Hardware samples fall on accesses wherever their page is, so their share on the top tier is the
share of accesses that it served.  Hint faults fall on slow pages alone, once a scan: how many
there are a second is the scan's affair as much as the program's.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.driving.run_state import (
    FaultSpan,
    FaultSpans,
    Helps,
    SampleSpan,
    ServedSpans,
    StallSpan,
    StallSpans,
)
from pghot.engine.memory import BoolArray
from pghot.engine.units import USEC_PER_SEC
from pghot.linux.host import Host
from pghot.linux.processes.pressure import Pressure, read_pressure

LAST_S = 10
"""Seconds that `last` goes back."""


class ServedSamples:
    """Hardware samples of the targets, by the node whose memory served them."""

    def __init__(self) -> None:
        self.by_node: Counter[int] = Counter()
        self.fast = 0
        """Of them, those that the top tier served."""

    @property
    def samples(self) -> int:
        """All of them."""
        return self.by_node.total()

    def add(self, nids: npt.NDArray[np.integer], toptier: BoolArray) -> None:
        """Take samples: the node of each, and of each node whether it is top tier."""
        counts = np.bincount(nids) if len(nids) else np.zeros(0, np.int64)
        for nid in np.flatnonzero(counts).tolist():
            self.by_node[nid] += int(counts[nid])
            self.fast += int(counts[nid]) if toptier[nid] else 0


class Mark(NamedTuple):
    """Counts since the start, at `us` microseconds after it.

    `samples` are of hardware and `fast` those of them on the top tier; `slow_faults` are hint
    faults; `some_us` and `full_us` are of `Pressure`.
    """

    us: int
    samples: int = 0
    fast: int = 0
    slow_faults: int = 0
    some_us: int = 0
    full_us: int = 0

    def since(self, before: Mark) -> Mark:
        """What was counted after `before`."""
        return Mark(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def fast_share(self) -> float | None:
        """Share of the sampled accesses that the top tier served; None without samples."""
        return self.fast / self.samples if self.samples else None

    def share_of_time(self, us: int) -> float:
        """So many microseconds as a share of the time."""
        return us / self.us if self.us else 0.0

    @property
    def slow_faults_a_second(self) -> float:
        """Hint faults a second."""
        return self.slow_faults * USEC_PER_SEC / self.us if self.us else 0.0


class RunMarks:
    """Marks of a run: from its start, from its first promotion, and of the last seconds.

    `pressure_of` is the file of `read_pressure`, None where there is none; `by_faults` whether
    hint faults are a source, `by_samples` whether hardware samples are.
    """

    def __init__(
        self, host: Host, pressure_of: str | None, *, by_faults: bool, by_samples: bool
    ) -> None:
        self.served = ServedSamples()
        self.pressure_of = pressure_of
        self.by_faults, self.by_samples = by_faults, by_samples
        self.slow_faults: Callable[[], int] = lambda: 0
        """Hint faults so far of the targets on slow memory, first touches among them."""
        self._host = host
        self._stalled = Pressure(0, 0)
        self._stalled_at_first = Pressure(0, 0)
        self._last: deque[Mark] = deque([Mark(0)], maxlen=LAST_S + 1)
        self.first_promotion: Mark | None = None

    def begin(self) -> None:
        """Count pressure from now on."""
        self._stalled_at_first = self._stalled = self._read()

    def mark(self, us: int) -> Mark:
        """How things are now."""
        self._stalled = self._read()
        return self._mark(us)

    def promoted(self, us: int) -> None:
        """Take in that pages have been promoted; what was before the first time is kept apart."""
        if self.first_promotion is None:
            self.first_promotion = self.mark(us)

    def second(self, us: int) -> None:
        """Take in that a second has gone."""
        self._last.append(self.mark(us))

    def spans(self, us: int) -> dict[str, Mark | None]:
        """What was counted in `all` of it, `before` the first promotion, `since`, and `last`.

        `since` is None where nothing has been promoted, `before` is all of it then.
        """
        now = self._mark(us)
        first = self.first_promotion
        return {
            "all": now,
            "before": first or now,
            "since": None if first is None else now.since(first),
            "last": now.since(self._last[0]),
        }

    def helps(self, us: int) -> Helps:
        """What is known as of `us` microseconds after the start."""
        spans = self.spans(us)
        nodes = {str(nid): count for nid, count in sorted(self.served.by_node.items())}
        return Helps(
            served=ServedSpans(**_each(spans, _samples), by_node=nodes)
            if self.by_samples
            else None,
            slow_faults=FaultSpans(**_each(spans, _faults)) if self.by_faults else None,
            memory_stall=StallSpans(**_each(spans, _pressure), of=self.pressure_of)
            if self.pressure_of is not None
            else None,
        )

    def _mark(self, us: int) -> Mark:
        some, full = (
            now - before for now, before in zip(self._stalled, self._stalled_at_first, strict=True)
        )
        return Mark(us, self.served.samples, self.served.fast, self.slow_faults(), some, full)

    def _read(self) -> Pressure:
        if self.pressure_of is None:
            return self._stalled
        return read_pressure(self._host, self.pressure_of) or self._stalled


def _each(spans: dict[str, Mark | None], figures: Callable[[Mark], Any]) -> dict[str, Any]:
    return {name: None if span is None else figures(span) for name, span in spans.items()}


def _samples(span: Mark) -> SampleSpan:
    return SampleSpan(samples=span.samples, fast=span.fast, fast_share=span.fast_share)


def _faults(span: Mark) -> FaultSpan:
    return FaultSpan(faults=span.slow_faults, per_s=span.slow_faults_a_second)


def _pressure(span: Mark) -> StallSpan:
    return StallSpan(
        some=span.share_of_time(span.some_us),
        full=span.share_of_time(span.full_us),
        some_us=span.some_us,
        full_us=span.full_us,
    )
