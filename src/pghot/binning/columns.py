"""Columns of time that grow wider, two into one, when a run outlasts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Fold = Callable[[Array, Array], Array]


def added(first: Array, second: Array) -> Array:
    """Fold counts, which are unsigned: the sum, at most what the type holds."""
    total: Array = first + second
    total[total < second] = np.iinfo(first.dtype).max  # it went round
    return total


def summed(first: Array, second: Array) -> Array:
    """Fold shares of counts: the sum."""
    total: Array = first + second
    return total


def latest(_first: Array, second: Array) -> Array:
    """Fold levels: the later one."""
    return second


class TimeColumns:
    """At most `most` (even) columns; a row at time t (us) belongs to column (t - 1) // step_us.

    So the rows that a wake-up finds are in the column that ends with it.
    """

    def __init__(self, step_us: int, most: int) -> None:
        self.step_us = max(step_us, 1)
        self.most = most
        self.used = 0
        self._kept: list[tuple[Array, Fold]] = []

    def keep(self, array: Array, fold: Fold) -> None:
        """Have an array whose first axis is `most` columns folded with them."""
        self._kept.append((array, fold))

    def at(self, time_us: int) -> int:
        """The column of a time; the columns are widened until it is one."""
        while (column := max(time_us - 1, 0) // self.step_us) >= self.most:
            self._widen()
        self.used = max(self.used, column + 1)
        return column

    def _widen(self) -> None:
        half, old = self.most // 2, (self.used + 1) // 2 * 2
        for array, fold in self._kept:
            array[: old // 2] = fold(array[0:old:2], array[1:old:2])
            array[old // 2 : old] = 0
        self.used = min(old // 2, half)
        self.step_us *= 2
