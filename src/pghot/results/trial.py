"""What a trial came to: blocks of two kinds in pairs, and the difference with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, NamedTuple

from pghot.results.paired import CONFIDENCE, FEWEST, interval
from pghot.results.verdict import CANNOT_BE_TOLD

BETTER, WORSE = "better", "worse"
"""Verdicts beside CANNOT_BE_TOLD: the whole interval is on one side of zero."""

METRIC, FAST_SHARE = "metric", "fast_share"
STALL_SOME, STALL_FULL = "memory_stall_some", "memory_stall_full"
LOWER, HIGHER = "lower", "higher"


class MeasureKind(NamedTuple):
    """A measure: its words, its unit, and which way is better (LOWER or HIGHER)."""

    words: str
    unit: str
    better: str


KINDS = {
    METRIC: MeasureKind("the metric", "", ""),  # its better way is the user's to say
    FAST_SHARE: MeasureKind("accesses served fast", "%", HIGHER),
    STALL_SOME: MeasureKind("time in which some task stood still for memory", "%", LOWER),
    STALL_FULL: MeasureKind("time in which all tasks stood still for memory", "%", LOWER),
}
"""What may be measured, most telling first."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its pair, its kind (0 or 1), seconds from the start of the run.

    `values` by measure; one that could not be had is not there, and `lacking` says why.
    `why` says why the block does not count; the empty string where it does.  Pages are of
    4 KiB; `promoted_late` of them after the warm-up.  `kernel_promoted_pages` and
    `demoted_pages` are the whole host's, in its own pages.
    """

    pair: int
    arm: int
    start_s: float
    measured_s: float
    end_s: float
    values: Mapping[str, float] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    why: str = ""
    samples: int = 0
    numbers: int = 0
    promoted_pages: int = 0
    promoted_late: int = 0
    moved_back_pages: int = 0
    kernel_promoted_pages: int = 0
    demoted_pages: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Difference:
    """What a measure came to: the mean of either kind, and first less second with its interval.

    None of it is known with no pair; `low` and `high` not with fewer than FEWEST.
    """

    pairs: int
    better: str
    means: tuple[float | None, float | None] = (None, None)
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None

    @property
    def verdict(self) -> str:
        """Whether the first kind is better, is worse, or cannot be told to be either."""
        if self.low is None or self.high is None or self.low <= 0 <= self.high:
            return CANNOT_BE_TOLD
        return BETTER if (self.low > 0) == (self.better == HIGHER) else WORSE

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "pairs": self.pairs,
            "better": self.better,
            "means": list(self.means),
            "difference": self.difference,
            "interval": None if self.low is None else [self.low, self.high],
            "confidence": self.confidence,
            "verdict": self.verdict,
        }


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial, ended or not: how it was laid out, and its blocks that have ended.

    `arms` name the two kinds.  `better` is which way the metric is better, None where there is
    no metric command.  `notes` are lines on what a reader of the figures should know.
    """

    arms: tuple[str, str]
    pairs: int
    block_s: float
    warm_up_s: float
    seed: int
    order: Sequence[int]
    metric_command: str | None
    better: str | None
    blocks: Sequence[Block]
    notes: Sequence[str] = ()

    def complete(self, measure: str | None = None) -> list[tuple[Block, Block]]:
        """The pairs that count, first kind first; with a measure, those that have it."""
        good = [
            block for block in self.blocks
            if not block.why and (measure is None or measure in block.values)
        ]  # fmt: skip
        found = {(block.pair, block.arm): block for block in good}
        return [
            (found[pair, 0], found[pair, 1])
            for pair in range(self.pairs)
            if (pair, 0) in found and (pair, 1) in found
        ]

    def measures(self) -> dict[str, Difference]:
        """The difference of each measure that any block has, and of the metric if there is one."""
        known = {name for block in self.blocks for name in block.values}
        known |= {METRIC} if self.better else set()
        return {name: self._difference(name) for name in KINDS if name in known}

    def deciding(self) -> str | None:
        """The measure that the verdict is by: the metric, else what was served fast, else none.

        Stalls do not decide: a slow access is none.
        """
        known = self.measures()
        return next((name for name in (METRIC, FAST_SHARE) if name in known), None)

    @property
    def verdict(self) -> str:
        """Whether the first kind is better, by the measure that decides."""
        by = self.deciding()
        return CANNOT_BE_TOLD if by is None else self.measures()[by].verdict

    def to_dict(self) -> dict[str, Any]:
        """The key `trial` of the JSON (docs/trial.md)."""
        return {
            "arms": list(self.arms),
            "verdict": self.verdict,
            "by": self.deciding(),
            "pairs": self.pairs,
            "pairs_complete": len(self.complete()),
            "pairs_needed": FEWEST,
            "confidence": CONFIDENCE,
            "block_s": self.block_s,
            "warm_up_s": self.warm_up_s,
            "seed": self.seed,
            "order": list(self.order),
            "metric_command": self.metric_command,
            "measures": {name: found.to_dict() for name, found in self.measures().items()},
            "blocks": [block.to_dict() for block in self.blocks],
            "notes": list(self.notes),
        }

    def _difference(self, measure: str) -> Difference:
        better = self.better or "" if measure == METRIC else KINDS[measure].better
        pairs = self.complete(measure)
        if not pairs:
            return Difference(0, better)
        values = [[block.values[measure] for block in pair] for pair in pairs]
        differences = [first - second for first, second in values]
        found = interval(differences, self.seed)
        first, second = map(_mean, zip(*values, strict=True))
        return Difference(
            len(pairs),
            better,
            (first, second),
            _mean(differences),
            *(found or (None, None, None)),
        )


def late_promotions(blocks: Sequence[Block]) -> float:
    """Of what was promoted in blocks that count, the share that was after their warm-up."""
    pages = sum(block.promoted_pages for block in blocks if not block.why)
    late = sum(block.promoted_late for block in blocks if not block.why)
    return late / pages if pages else 0.0


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
