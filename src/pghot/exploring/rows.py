"""The rows of a log as a curve takes them: checked, and cut where its second half begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pghot.engine.memory import Node
from pghot.engine.units import NID_MAX
from pghot.log.check import RowCheck
from pghot.log.machine import MAX_PFN, Machine
from pghot.log.read import Log
from pghot.log.schema import REQUIRED, Columns

ANYWHERE = Machine(
    (Node(0, 0, MAX_PFN, True), *(Node(nid, 0, 0, False) for nid in range(1, NID_MAX + 1)))
)
"""Has every PFN and every node: for logs that say nothing of their machine."""


class Cut(NamedTuple):
    """Rows of one half: `part` 0 or 1; `first` is the number of the first row, from 0."""

    columns: Columns
    part: int
    first: int


def good_rows(log: Log, check: RowCheck, columns: tuple[str, ...]) -> Iterator[Cut]:
    """Read a log through: its second half begins after the middle of its time."""
    first, half_us, last_us = 0, None, log.last_us()
    for chunk in log.chunks((*REQUIRED, *columns)):
        rows = check.good_rows(chunk)
        count = len(rows["pfn"])
        if half_us is None and count and last_us is not None:
            half_us = (int(rows["time_us"][0]) + last_us) // 2
        split = count
        if half_us is not None:
            split = int(np.searchsorted(rows["time_us"], np.uint64(half_us), side="right"))
        for part, piece in enumerate((slice(0, split), slice(split, count))):
            if piece.start < piece.stop:
                yield Cut({name: all_[piece] for name, all_ in rows.items()}, part, first)
                first += piece.stop - piece.start
    check.look_for_ragged()
