"""The node of the CPU that accessed each page last, where promotion may choose among nodes.

A record of default mode has no room for it, and in precision mode a CPU on a node that is not
top tier is no target (R2.2).  Half a byte a page, in memory that is taken where accesses fall.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.nibbles import MOST, Nibbles
from pghot.engine.units import NID_MAX, NUMA_NO_NODE


class LastNids:
    """Node ids by index, as one of 15 codes; nodes beyond so many are not remembered."""

    def __init__(self) -> None:
        self._at = Nibbles()
        self._code_of = np.zeros(NID_MAX + 2, np.uint8)
        self._nid_of = np.full(MOST + 1, NUMA_NO_NODE, np.int64)
        self._codes = 0

    def remember(self, indices: npt.NDArray[np.int64], nids: npt.NDArray[np.int16]) -> None:
        """Take in accesses in time order; those from no known node leave what there is."""
        known = (nids >= 0) & (nids <= NID_MAX) & (indices >= 0)
        indices, at = indices[known], nids[known].astype(np.int64)
        if not len(indices):
            return
        codes = self._code_of[at]
        if not codes.all():
            codes = self._new(at)
        self._at.set(indices, codes)

    def of(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The node of each page's last access, -1 where it is not known."""
        nids: npt.NDArray[np.int64] = self._nid_of[self._at.get(indices)]
        return nids

    def forget(self, indices: npt.NDArray[np.int64]) -> None:
        """Forget pages that have moved away: what comes into their frames is another."""
        self._at.clear(indices)

    def _new(self, nids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        for nid in distinct(nids).tolist():
            if not self._code_of[nid] and self._codes < MOST:
                self._codes += 1
                self._code_of[nid], self._nid_of[self._codes] = self._codes, nid
        codes: npt.NDArray[np.uint8] = self._code_of[nids]
        return codes
