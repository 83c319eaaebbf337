"""What a live result says of whether it helped (docs/trial.md), read back and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pghot.driving.run_state import Helps
from pghot.errors import InputError
from pghot.report.helps import helps_lines

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_Number = Annotated[float, msgspec.Meta(ge=-1e18, le=1e18)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1.001)]
_Measure = Literal["metric", "fast_share", "memory_stall_some", "memory_stall_full"]
_Verdict = Literal["better", "worse", "cannot be told"]
MOST = 1e18
"""Of any figure."""

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


class LiveOfResult(msgspec.Struct):
    """The part of a run's summary that says whether it helped; an older one says less."""

    helps: Helps | None = None
    looked_at_after_a_minute: _Count = 0
    demoted_within_a_minute: _Count = 0

    def __post_init__(self) -> None:
        """Refuse figures that cannot be, and a share that nothing is known of."""
        if not all(0 <= number <= MOST for number in _numbers(msgspec.to_builtins(self.helps))):
            raise ValueError("helps: a figure below 0, or too large")
        served = self.helps.served if self.helps else None
        for span in (served.all, served.before, served.since, served.last) if served else ():
            if span and (span.fast_share is None) != (span.samples == 0):
                raise ValueError("a share of no samples, or samples without one")


def _numbers(plain: Any) -> Iterator[float]:
    if isinstance(plain, dict):
        for value in plain.values():
            yield from _numbers(value)
    elif isinstance(plain, int | float):
        yield plain


def read_helps(path: Path, live: Mapping[str, Any] | None) -> list[str]:
    """Sentences on whether it helped; InputError where what is said is none of ours."""
    if live is None or live.get("dry_run"):
        return []
    try:
        return helps_lines(msgspec.convert(live, LiveOfResult))
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: not what pghot writes: live: {error}") from error
