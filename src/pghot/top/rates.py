"""Counts of two states as figures a second of the run's own time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pghot.top.state import TopState


@dataclass(frozen=True, slots=True)
class Rates:
    """What went up by how much a second.  None, and no entry, where it cannot be known."""

    accesses: float | None = None
    found: float | None = None
    promoted: float | None = None
    demoted: float | None = None
    batches: float | None = None
    slow_faults: float | None = None
    refused: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, float] = field(default_factory=dict)
    lost: Mapping[str, float] = field(default_factory=dict)

    @property
    def all_refused(self) -> float | None:
        """Refusals of all reasons."""
        return None if self.accesses is None else sum(self.refused.values())


def same_run(before: TopState, after: TopState) -> bool:
    """Whether two states are of one run."""
    return (before.kind, before.name, before.pid, before.started) == (
        after.kind,
        after.name,
        after.pid,
        after.started,
    )


def rates_between(before: TopState | None, after: TopState) -> Rates:
    """The rates; none where there is no state of the same run before."""
    if before is None or not same_run(before, after) or after.time_s <= before.time_s:
        return Rates()
    seconds = after.time_s - before.time_s

    def rate(old: int | None, new: int | None) -> float | None:
        return None if old is None or new is None else max(new - old, 0) / seconds

    def each(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, float]:
        return {name: max(n - old.get(name, 0), 0) / seconds for name, n in new.items()}

    return Rates(
        accesses=rate(before.accesses, after.accesses),
        found=rate(before.found, after.found),
        promoted=rate(before.promoted, after.promoted),
        demoted=rate(before.demoted, after.demoted),
        batches=rate(before.batches, after.batches),
        slow_faults=rate(before.slow_faults, after.slow_faults),
        refused=each(before.refused, after.refused),
        seen=each(_seen(before), _seen(after)),
        lost=each(_lost(before), _lost(after)),
    )


def _seen(state: TopState) -> dict[str, int]:
    return {source.name: source.seen for source in state.sources}


def _lost(state: TopState) -> dict[str, int]:
    return {source.name: source.lost for source in state.sources if source.lost is not None}
