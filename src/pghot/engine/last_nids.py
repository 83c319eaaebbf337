"""The node of the CPU that accessed each ready page last, where promotion may choose among nodes.

A record of default mode has no room for it, and in precision mode a CPU on a node that is not
top tier is no target (R2.2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.recent_pages import Indices, RecentPages
from pghot.engine.units import NID_MAX


class LastNids:
    """Node ids by index, of pages that were accessed since they became ready.

    At most a sixteenth of a byte for each page of the lower tier, and half a MiB on any machine.
    Where that is full a page is let go for another (`recent_pages`): its node is not known.
    """

    def __init__(self) -> None:
        self._table = RecentPages(0, with_words=False)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are in use."""
        return self._table.nbytes

    def grow(self, pages: int) -> None:
        """Make room for so many pages of the lower tier."""
        self._table.grow(pages)

    def remember(self, indices: Indices, nids: npt.NDArray[np.int16]) -> None:
        """Take in accesses in time order; those from no known node leave what there is."""
        known = (nids >= 0) & (nids <= NID_MAX) & (indices >= 0)
        self._table.see(indices[known], nids[known].astype(np.int32) + 1)

    def of(self, indices: Indices) -> npt.NDArray[np.int64]:
        """The node of each page's last access, -1 where it is not known."""
        tags = self._table.of(np.ascontiguousarray(indices)).tag
        nids: npt.NDArray[np.int64] = tags.astype(np.int64) - 1
        return nids

    def forget(self, indices: Indices) -> None:
        """Forget pages that have moved away: what comes into their frames is another."""
        self._table.forget(np.ascontiguousarray(indices))
