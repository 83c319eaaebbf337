"""The series of a run of the engine: what its counters gained, column by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pghot.binning.columns import TimeColumns, latest, summed
from pghot.binning.forms import Series
from pghot.engine.engine import Engine

COLUMNS = 512
NODES = 16
"""Nodes at the most whose threshold and free pages are kept, the lowest ids."""

_GAINS = ("accesses", "fast", "fast_without")


class RunSeries:
    """Looks at the engine after each wake-up, at levels not more often than `levels_us`."""

    def __init__(self, step_us: int, nids: Sequence[int], levels_us: int = 0) -> None:
        self._columns = TimeColumns(step_us, COLUMNS)
        self._nids = sorted(nids)[:NODES]
        self._gains = self._counts(len(_GAINS))
        self._threshold = self._counts(len(self._nids))
        self._free = self._counts(len(self._nids))
        self._refused: dict[str, npt.NDArray[np.int64]] = {}
        self._before: dict[str, int] = {}
        self._columns.keep(self._gains, summed)
        self._columns.keep(self._threshold, latest)
        self._columns.keep(self._free, latest)
        self._levels_us = levels_us
        self._levels_due = 0
        self._levels: tuple[list[int], list[int]] = ([], [])
        self._last = 0

    def looked(
        self, instant: int, accesses: int, engine: Engine, free_pages: Callable[[int], int]
    ) -> None:
        """Take in how things are after the wake-up at `instant`, with so many rows so far."""
        column = self._columns.at(instant)
        if self._last:  # what nothing happened in is as it was
            since = slice(self._columns.at(self._last), column)
            self._threshold[since], self._free[since] = self._levels
        present = {
            "accesses": accesses,
            "fast": engine.accesses_on_toptier,
            "fast_without": engine.accesses_born_on_toptier,
        }
        for place, name in enumerate(_GAINS):
            self._gains[column, place] += present[name] - self._before.get(name, 0)
        for reason, count in engine.refused.items():
            if reason not in self._refused:
                self._refused[reason] = np.zeros(COLUMNS, np.int64)
                self._columns.keep(self._refused[reason], summed)
            self._refused[reason][column] += count - self._before.get(f"refused {reason}", 0)
            present[f"refused {reason}"] = count
        if instant >= self._levels_due:
            self._levels_due = instant + self._levels_us
            thresholds = [int(engine.pgdat["nbp_threshold"][nid]) for nid in self._nids]
            self._levels = thresholds, [free_pages(nid) for nid in self._nids]
        self._threshold[column], self._free[column] = self._levels
        self._before = present
        self._last = instant

    def form(self, *, shares: bool, without: bool = True) -> Series | None:
        """The series; None where nothing was looked at.

        `shares`: which accesses were fast can be known; `without`: had nothing moved, too.
        """
        used = self._columns.used
        if not used:
            return None
        accesses, fast, initially = self._gains[:used].T.tolist()
        return Series(
            step_us=self._columns.step_us,
            accesses=accesses,
            fast=fast if shares else None,
            fast_without=initially if shares and without else None,
            refused={name: counts[:used].tolist() for name, counts in self._refused.items()},
            threshold_ms=self._by_node(self._threshold[:used]),
            free_pages=self._by_node(self._free[:used]),
        )

    def _by_node(self, levels: npt.NDArray[np.int64]) -> dict[str, list[int]]:
        return {str(nid): levels[:, at].tolist() for at, nid in enumerate(self._nids)}

    @staticmethod
    def _counts(width: int) -> npt.NDArray[np.int64]:
        return np.zeros((COLUMNS, width), np.int64)
