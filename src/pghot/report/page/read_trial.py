"""What a live result says of whether it helped (docs/trial.md), read back and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pghot.errors import InputError
from pghot.report.helps import helps_lines

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Number = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1.001)]
_Measure = Literal["metric", "fast_share", "memory_stall_some", "memory_stall_full"]
_Verdict = Literal["better", "worse", "cannot be told"]
_Arm = Annotated[int, msgspec.Meta(ge=0, le=1)]


class Measured(msgspec.Struct):
    """A measure: the means of both kinds, and their difference."""

    pairs: _Count
    means: tuple[_Number | None, _Number | None]
    difference: _Number | None
    interval: tuple[_Number, _Number] | None
    confidence: _Share | None
    verdict: _Verdict


class TrialBlock(msgspec.Struct):
    """A block."""

    pair: _Count
    arm: _Arm
    measured_s: _Number
    end_s: _Number
    values: dict[_Measure, _Number] = {}
    lacking: dict[str, str] = {}
    why: str = ""
    promoted_pages: _Count = 0


class TrialOfResult(msgspec.Struct):
    """A trial."""

    arms: tuple[str, str]
    verdict: _Verdict
    by: Literal["metric", "fast_share"] | None
    pairs: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    pairs_complete: _Count
    pairs_needed: _Count
    seed: _Count
    block_s: _Number
    warm_up_s: _Number
    measures: dict[_Measure, Measured]
    blocks: Annotated[list[TrialBlock], msgspec.Meta(max_length=2000)]
    notes: Annotated[list[str], msgspec.Meta(max_length=100)] = []

    def __post_init__(self) -> None:
        """Refuse a verdict by a measure that is not there."""
        if self.by is not None and self.by not in self.measures:
            raise ValueError(f"decided by {self.by}, which it has not measured")
        for measure in self.measures.values():
            known = (*measure.means, measure.difference, measure.confidence)
            if measure.interval is not None and None in known:
                raise ValueError("an interval of an unknown difference")


class SampleSpan(msgspec.Struct):
    """Hardware samples of a span of time."""

    samples: _Count
    fast_share: _Share | None = None

    def __post_init__(self) -> None:
        """Refuse a share that nothing is known of."""
        if (self.fast_share is None) != (self.samples == 0):
            raise ValueError("a share of no samples, or samples without one")


class Faults(msgspec.Struct):
    """Hint faults on slow pages."""

    faults: _Count
    per_s: _Number


class Stalled(msgspec.Struct):
    """Shares of the time."""

    some: _Share


class ServedSpans(msgspec.Struct):
    """Samples of the whole run and of its parts."""

    all: SampleSpan
    before: SampleSpan
    last: SampleSpan
    since: SampleSpan | None = None


class SlowFaults(msgspec.Struct):
    """Hint faults of the whole run, and of its last ten seconds."""

    all: Faults
    last: Faults


class Stall(msgspec.Struct):
    """Pressure, and of what."""

    all: Stalled
    of: str


class Helps(msgspec.Struct):
    """What is known."""

    served: ServedSpans | None = None
    slow_faults: SlowFaults | None = None
    memory_stall: Stall | None = None


class _Live(msgspec.Struct):
    """The part of a run's summary that has it; an older one has none."""

    helps: Helps | None = None
    looked_at_after_a_minute: _Count = 0
    demoted_within_a_minute: _Count = 0


def read_helps(path: Path, live: Mapping[str, Any] | None) -> list[str]:
    """Sentences on whether it helped; InputError where what is said is none of ours."""
    if live is None or live.get("dry_run"):
        return []
    try:
        known = msgspec.convert(live, _Live)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not what pghot writes: live: {error}") from error
    return helps_lines(msgspec.to_builtins(known))
