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


def good_rows(
    log: Log, check: RowCheck, columns: tuple[str, ...], half_us: int | None
) -> Iterator[Cut]:
    """Read a log through; `half_us` as for `baselines.Touches`."""
    first = 0
    for chunk in log.chunks((*REQUIRED, *columns)):
        rows = check.good_rows(chunk)
        count = len(rows["pfn"])
        split = count
        if half_us is not None:
            split = int(np.searchsorted(rows["time_us"], np.uint64(half_us), side="right"))
        for part, piece in enumerate((slice(0, split), slice(split, count))):
            if piece.start < piece.stop:
                yield Cut({name: all_[piece] for name, all_ in rows.items()}, part, first)
                first += piece.stop - piece.start
    check.look_for_ragged()


def half_of(log: Log) -> int | None:
    """Give the middle of a log's time in microseconds: rows after it are its second half.

    None where it has no row.  Reads the column `time_us` through.
    """
    first = last = None
    for chunk in log.chunks(("time_us",)):
        wrong = chunk.bad.get("time_us")
        times = chunk.columns["time_us"] if wrong is None else chunk.columns["time_us"][~wrong]
        if len(times):
            first = int(times[0]) if first is None else first
            last = int(times[-1])
    return None if first is None or last is None else (first + last) // 2
