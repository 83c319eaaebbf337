"""What a log cannot know, said beside its curve; the formulas are in docs/capacity.md."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pghot.exploring.counts import Sampled
from pghot.exploring.curve_result import Scope
from pghot.exploring.tally import BOUND, BY_LATENCY, HELD_OUT

FEW = 0.01
"""A difference of shares that is worth a line."""


def notes_of(whole: Scope, counted: Sampled, sources: Mapping[str, int]) -> tuple[str, ...]:
    """The lines.  `sources`: rows by source."""
    notes = []
    if sources["hintfault"]:
        notes.append(
            f"{sources['hintfault']:,} rows are hint faults: they see slow memory only, and at "
            "most one access to a page between two scans, so hot pages look less hot than they "
            "are and what was fast is not in the curve at all"
        )
    if sources["hwhint"]:
        notes.append(
            "rows of hardware are samples or what a cache let through, not all accesses; LRU is "
            "of the rows as they are"
        )
    if BY_LATENCY in {line.name for line in whole.lines}:
        tenth = max(whole.pages // 10, 1)
        notes.append(
            "by the time from the scan to the fault (bound_by_latency), the hottest tenth of the "
            f"pages has {whole.share(BY_LATENCY, tenth):.1%} of the accesses; by the number of "
            f"faults {whole.share(BOUND, tenth):.1%}"
        )
    # What a fault sees is no sample of the accesses: what follows is of samples.
    sampled = sources["hwhint"] > sources["hintfault"]
    gap = float(np.max(whole.line(BOUND).share - whole.line(HELD_OUT).share))
    if sampled and gap > FEW:
        notes.append(
            f"the bound is up to {gap:.1%} too high by chance: pages of few rows look hottest "
            "where they were sampled most; bound_held_out is without that, and too low instead"
        )
    unseen = unseen_pages(counted)
    if sampled and unseen > FEW * whole.pages:
        notes.append(
            f"at least about {unseen:,} more pages were accessed than the log has rows of "
            "(Chao's estimate): the footprint is larger than it says"
        )
    if counted.rate < 1:
        notes.append(f"1 page in {round(1 / counted.rate)} was counted, chosen by its number")
    return tuple(notes)


def unseen_pages(counted: Sampled) -> int:
    """The least number of pages that were accessed and have no row.

    Chao, "Nonparametric estimation of the number of classes in a population", 1984, in its
    bias-corrected form f1 (f1 - 1) / (2 (f2 + 1)), with f1 pages of one row and f2 of two.
    """
    rows = counted.touched.accesses
    once, twice = (int(np.count_nonzero(rows == count)) for count in (1, 2))
    return round(once * (once - 1) / (2 * (twice + 1)) / counted.rate)
