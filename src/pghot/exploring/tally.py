"""One pass over the accesses of a log, or of a process in it, and the curves that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.baselines.folios import FirstTouches, I64Array
from pghot.engine.mem_map import MemMap
from pghot.exploring.counts import MOST_PAGES, PageCounts, Sampled
from pghot.exploring.lru import PAGES, SPLITS, STUDENT_T, LruShares
from pghot.exploring.placed import (
    bound_shares,
    first_touch_shares,
    held_out_shares,
    interleave_shares,
)

Shares = npt.NDArray[np.float64]

WHOLE, STEADY = "whole", "steady"
BOUND, HELD_OUT, BY_LATENCY, LRU, FIRST_TOUCH, INTERLEAVE = (
    "bound",
    "bound_held_out",
    "bound_by_latency",
    "lru",
    "first_touch",
    "interleave",
)
LINES = (BOUND, HELD_OUT, LRU, FIRST_TOUCH, INTERLEAVE)


@dataclass(frozen=True, slots=True)
class Line:
    """Share served fast at each size, by one rule, of the `whole` log or its `steady` half.

    `error`: half of the interval that contains it 95 times of 100; 0 where it is exact.
    """

    name: str
    part: str
    share: Shares
    error: Shares

    def __repr__(self) -> str:
        return f"<{self.name} of the {self.part} log, {len(self.share)} sizes>"


class AccessTally:
    """Takes the accesses of a log, or of a part of it."""

    def __init__(self, pages: int = MOST_PAGES, sampled: int = PAGES) -> None:
        self._counts = PageCounts(pages)
        self._lru = LruShares(sampled)
        self.accesses = 0

    def add(self, pfns: npt.NDArray[np.uint64], part: int, odd: npt.NDArray[np.bool_]) -> None:
        """Take accesses; `part` 0 of the log's first half, 1 of its second."""
        self._counts.add(pfns, part, odd)
        self._lru.add(pfns, part)
        self.accesses += len(pfns)

    def counted(self) -> Sampled:
        """The accesses by page."""
        return self._counts.sampled()

    def lru_lines(self, sizes: I64Array, parts: dict[str, slice]) -> list[Line]:
        """The share that an LRU of each size serves; `parts` by name."""
        return [Line(LRU, name, *self._lru.shares(sizes, part)) for name, part in parts.items()]

    @property
    def lru_rate(self) -> float:
        """Share of the pages whose reuse distances are known."""
        return self._lru.rate


Placed = Callable[[FirstTouches, I64Array, I64Array], Shares]
"""Shares of folios, of which each has so many accesses, at these sizes."""


def placed_lines(
    sampled: Sampled, sizes: I64Array, slow: int, mem_map: MemMap | None, *, halves: bool
) -> list[Line]:
    """The lines of the placements.  `slow`: pages that are free below the top tier."""
    rules: dict[str, Placed] = {
        BOUND: bound_shares,
        FIRST_TOUCH: first_touch_shares,
        INTERLEAVE: lambda touched, accesses, sizes: interleave_shares(
            touched, accesses, sizes, round(slow * sampled.rate)
        ),
    }
    folios = sampled.touched if mem_map is None else sampled.touched.as_folios(mem_map)
    lines = []
    for name, rule in rules.items():
        for part in (WHOLE, STEADY) if halves else (WHOLE,):
            share = rule(folios, _accesses(folios, part), _scaled(sizes, sampled.rate))
            lines.append(Line(name, part, share, _error(rule, sampled, sizes, part)))
    held_out = held_out_shares(sampled.touched, sampled.odd, _scaled(sizes, sampled.rate))
    return [*lines, Line(HELD_OUT, WHOLE, held_out, np.zeros(len(sizes)))]


def _error(rule: Placed, sampled: Sampled, sizes: I64Array, part: str) -> Shares:
    """The error of a line where not all pages were counted: from samples of its pages."""
    if sampled.rate == 1:
        return np.zeros(len(sizes))
    splits = [sampled.split(number, SPLITS) for number in range(SPLITS)]
    each = [
        rule(split.touched, _accesses(split.touched, part), _scaled(sizes, split.rate))
        for split in splits
    ]
    error: Shares = STUDENT_T * np.std(each, axis=0, ddof=1) / np.sqrt(SPLITS)
    return error


def _accesses(touched: FirstTouches, part: str) -> I64Array:
    return touched.accesses if part == WHOLE or touched.late is None else touched.late


def _scaled(sizes: I64Array, rate: float) -> I64Array:
    return sizes if rate == 1 else np.round(sizes * rate).astype(np.int64)
