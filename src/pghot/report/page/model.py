"""What a report shows of a run, whatever made it: plain values, already of bounded size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.binning.forms import HeatMap, Histogram, NamedRegionHeat

COLUMNS = 200
"""Columns of time of a chart at the most, all runs of it together a few times that."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReportTimeline:
    """Columns of `step_s` each.  Pages `promoted` and `demoted`; None where it is not known.

    `fast` are accesses that the top tier served, `fast_without` had nothing been promoted.
    """

    step_s: float
    promoted: Values | None = None
    demoted: Values | None = None
    accesses: Values | None = None
    fast: Values | None = None
    fast_without: Values | None = None
    refused: dict[str, Values] = field(default_factory=dict)

    def share(self, fast: Values | None) -> Values | None:
        """The share of the accesses that were fast; NaN in columns without any."""
        if fast is None or self.accesses is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.accesses > 0, fast / self.accesses, np.nan)


@dataclass(frozen=True, slots=True)
class Run:
    """One run.  `kind`: replay, run or simulation.  Shares and totals are None where not known.

    `why` says, by the name of a section of the report, why this run has nothing to show there.
    `figures` are further values by name, for the comparison.  `baselines`: shares served fast
    without promotion, of the whole and of the second half; `time`: the verdict, as in
    summary.json; `made_of`: what the result is of, by its words.  `trial`: of a live run, as in
    summary.json; `helps`: sentences on what is known of whether it helped.
    """

    name: str
    kind: str
    about: str
    elapsed_s: float
    timeline: ReportTimeline
    promoted: int
    accesses: float
    demoted: int | None = None
    share: float | None = None
    share_without: float | None = None
    run_s: float | None = None
    refused: dict[str, int] | None = None
    frequency: list[int] | None = None
    threshold: int | None = None
    batches: Histogram | None = None
    latency_ms: Histogram | None = None
    heat: list[HeatMap] = field(default_factory=list)
    rate_limit_MBps: int | None = None  # noqa: N815 - a unit
    tunables: dict[str, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, dict[str, int]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    steady_share: float | None = None
    baselines: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    time: dict[str, Any] | None = None
    made_of: dict[str, str] = field(default_factory=dict)
    trial: dict[str, Any] | None = None
    helps: list[str] = field(default_factory=list)
    regions: list[NamedRegionHeat] = field(default_factory=list)


def binned_sum(values: npt.ArrayLike, group: int) -> Values:
    """The sums of `group` values each; the last may have fewer."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return array
    return np.add.reduceat(array, np.arange(0, len(array), group))


def group_of(columns: int, most: int = COLUMNS) -> int:
    """How many columns make one, so that there are at most `most`."""
    return max(-(-columns // most), 1)
