"""Candidates: the ready folios that a pass of kmigrated has taken, and what becomes of each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.layout import Layout
from pghot.engine.throttle_verdicts import ADMITTED
from pghot.engine.units import PAGES_PER_SECTION

CANDIDATE = np.dtype(
    [
        ("pfn", np.int64),
        ("index", np.int64),
        ("record", np.int64),
        ("pages", np.int64),
        ("memcg", np.int64),
        ("nid", np.int64),
        ("latency", np.int64),
        ("walk", np.int64),
        ("movable", np.uint8),
        ("outcome", np.uint8),
    ]
)
"""A ready folio: its first PFN, where its record stood and what it was, pages, memcg,
target node, jiffies since its last access, the section walk it was found in (a batch never
holds folios of two), whether it can be isolated at all, and what became of it."""

# What became of a candidate; the throttle's findings keep their numbers.
MOVED_OR_IN_BATCH = ADMITTED
ALREADY_THERE, NO_TARGET, NOT_ISOLATED, NOT_MIGRATED = 3, 4, 5, 6
MOVED_BATCH = np.dtype(
    [
        ("folios", np.int64),
        ("nid", np.int64),
        ("memcg", np.int64),
        ("pages_moved", np.int64),
    ]
)
"""A batch that has been tried: its folios, target, memcg, and the pages that moved."""

TAKEN_AT_ONCE = 8 * PAGES_PER_SECTION
"""Candidates taken before they are judged, at the most, unless a pass sorts them all."""


class LayoutRow(NamedTuple):
    """What the loops need of a layout, as plain numbers."""

    time_shift: int
    time_max: int
    bucket_shift: int
    nid_mask: int
    ready: int


def layout_row(layout: Layout) -> LayoutRow:
    """A layout as the loops take it."""
    return LayoutRow(
        time_shift=layout.time_shift,
        time_max=layout.time_max,
        bucket_shift=layout.time_bucket_shift,
        nid_mask=(1 << layout.nid_width) - 1,
        ready=layout.ready_mask,
    )


class TargetArrays(NamedTuple):
    """What is known of nodes as targets, by id, until the next batch has moved.

    `enough`: headroom lets every candidate pass.  `headroom`: pages of the largest folio that
    can be isolated.  `promotable`: folios may move there at all.
    """

    enough: npt.NDArray[np.int64]
    headroom: npt.NDArray[np.int64]
    promotable: npt.NDArray[np.uint8]
