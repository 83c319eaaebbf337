"""Who maps a page: for each page that was accessed, the process and the address."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
        self._pid = np.zeros(slots * PAGES_PER_SECTION, np.int32)
        self._vaddr = np.zeros(slots * PAGES_PER_SECTION, np.uint64)

    def grow(self, slots: int) -> None:
        """Make room for sections that the machine has got since."""
        more = slots * PAGES_PER_SECTION - len(self._pid)
        if more > 0:
            self._pid = np.concatenate([self._pid, np.zeros(more, np.int32)])
            self._vaddr = np.concatenate([self._vaddr, np.zeros(more, np.uint64)])

    def see(self, places: Places, pids: npt.NDArray[np.int32], vaddrs: U64Array) -> None:
        """Remember who accessed; of several accesses to a page the last counts."""
        self._pid[places] = pids
        self._vaddr[places] = vaddrs

    def of(self, places: Places) -> Owner:
        """Give the owners of pages."""
        return Owner(self._pid[places], self._vaddr[places])
