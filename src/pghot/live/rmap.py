"""Who maps a page: of the pages that became ready last, the process and the address."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.recent_pages import LEAST_MOST, Indices, RecentPages


class Owner(NamedTuple):
    """Of each page: a pid (0: nobody known) and the address it has there, page-aligned."""

    pid: npt.NDArray[np.int32]
    vaddr: npt.NDArray[np.uint64]


class Rmap:
    """The last process seen at each page, by its index in the engine's arrays.

    At most an eighth of a byte for each of `pages`, and 1 MiB on any machine.  Where that is
    full, a page is let go for another (`recent_pages`); its next access brings its owner back.
    """

    def __init__(self, pages: int, least: int = LEAST_MOST) -> None:
        self._table = RecentPages(pages, least, with_words=True)

    @property
    def kept(self) -> int:
        """Pages that have an owner now."""
        return self._table.kept

    @property
    def let_go(self) -> int:
        """Owners that made room for others so far."""
        return self._table.let_go

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are in use."""
        return self._table.nbytes

    def grow(self, pages: int) -> None:
        """Make room for a machine that has so many pages by now."""
        self._table.grow(pages)

    def see(
        self, indices: Indices, pids: npt.NDArray[np.int32], vaddrs: npt.NDArray[np.uint64]
    ) -> None:
        """Remember who accessed; of several accesses to a page the last counts."""
        self._table.see(indices, pids, vaddrs)

    def forget(self, indices: Indices) -> None:
        """Let go of pages that have moved: their owners would take the room of others."""
        self._table.forget(indices)

    def of(self, indices: Indices) -> Owner:
        """The owners of pages."""
        facts = self._table.of(indices)
        return Owner(facts.tag, facts.word)
