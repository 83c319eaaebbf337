"""Points that no other point beats: in time, in pages moved, and in fast memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]

RUN_S, FAST_SHARE, MOVES = "run_s", "fast_share", "moves"


def axes_of(row: Row) -> tuple[str, str, str]:
    """What points of an input compete in: run time of a simulation, else the share."""
    return (RUN_S if RUN_S in row["figures"] else FAST_SHARE, MOVES, "fast_pages")


def front(rows: Sequence[Row]) -> list[Row]:
    """The Pareto front of each input, best first: less time, moves and fast memory.

    A point is in it where no other of its input is at least as good in all three and better
    in one; of points that are alike in all, the first is.  Points whose share served fast is
    not known are in none.
    """
    by_input: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["error"] is None and row["figures"].get(axes_of(row)[0]) is not None:
            by_input[row["input"]].append(row)
    return [row for own in by_input.values() for row in _front(own)]


def _front(rows: Sequence[Row]) -> list[Row]:
    costs = np.array([_costs(row) for row in rows])
    order = np.lexsort((costs[:, 2], costs[:, 1], costs[:, 0]))
    kept: list[int] = []
    for at in order.tolist():
        if not any((costs[other] <= costs[at]).all() for other in kept):
            kept.append(at)
    return [rows[at] for at in kept]


def _costs(row: Row) -> tuple[float, float, float]:
    figures = row["figures"]
    time = figures[RUN_S] if RUN_S in figures else -figures[FAST_SHARE]
    return float(time), float(figures[MOVES]), float(row["fast_pages"] or 0)
