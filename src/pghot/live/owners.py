"""Who maps a page: for each page that was accessed, the process and the address."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.growing import grown
from pghot.engine.memory import U64Array
from pghot.engine.units import PAGES_PER_SECTION

Places = npt.NDArray[np.int64]


class Owner(NamedTuple):
    """Of each page: a pid (0: nobody known) and the address it has there, page-aligned."""

    pid: npt.NDArray[np.int32]
    vaddr: U64Array


class Owners:
    """The last process seen at each page, by its place in the engine's arrays.

    12 bytes a page of address space, taken by the host only where accesses fall.
    """

    def __init__(self, slots: int) -> None:
        self._seen: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._pid: npt.NDArray[np.int32] = np.zeros(0, np.int32)
        self._vaddr: U64Array = np.zeros(0, np.uint64)
        self.grow(slots)

    def grow(self, slots: int) -> None:
        """Make room for sections that the machine has got since."""
        more = slots - len(self._seen)
        if more > 0:
            self._pid = grown(self._pid, slots, self._seen)
            self._vaddr = grown(self._vaddr, slots, self._seen)
            self._seen = np.concatenate([self._seen, np.zeros(more, np.uint8)])

    def see(self, places: Places, pids: npt.NDArray[np.int32], vaddrs: U64Array) -> None:
        """Remember who accessed; of several accesses to a page the last counts."""
        self._seen[places // PAGES_PER_SECTION] = 1
        self._pid[places] = pids
        self._vaddr[places] = vaddrs

    def of(self, places: Places) -> Owner:
        """Give the owners of pages."""
        return Owner(self._pid[places], self._vaddr[places])
