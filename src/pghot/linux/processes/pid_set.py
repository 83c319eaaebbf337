"""A set of process ids that is asked about many at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pghot.engine.memory import BoolArray

PID_MAX_LIMIT = 1 << 22
"""No pid is as large: include/linux/threads.h, on 64-bit machines."""


class PidSet:
    """Pids, a byte for each that there can be: to add, take or find one costs the same for any.

    Of the 4 MiB only those pages take memory that a pid has been put in.
    """

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._is = np.zeros(PID_MAX_LIMIT + 1, np.bool_)
        for pid in pids:
            self.add(pid)

    def add(self, pid: int) -> None:
        """Take one in; ValueError where there can be no such pid."""
        if not 0 < pid < PID_MAX_LIMIT:
            raise ValueError(f"{pid} is no pid: wants 1 to {PID_MAX_LIMIT - 1}")
        self._is[pid] = True

    def discard(self, pid: int) -> None:
        """Take one out, if it is there."""
        if 0 < pid < PID_MAX_LIMIT:
            self._is[pid] = False

    def contains(self, pids: npt.NDArray[np.integer]) -> BoolArray:
        """Which of these are in it; numbers that are no pids are not."""
        found: BoolArray = self._is.take(pids, mode="clip")  # neither end is ever set
        return found
