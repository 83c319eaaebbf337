"""What a pass of kmigrated has migrated: batches, one by one or as arrays of all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import BoolArray, U64Array


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of promote_misplaced_memcg_folios(): folios in the order they were tried.

    `pfns` (u64) are first PFNs, `pages` (i64) their sizes, `moved` (bool) which moved,
    `pages_moved` the pages that are on the target now.  All belong to one memcg, on one
    source and one target node.
    """

    from_nid: int
    to_nid: int
    memcg: int
    pfns: U64Array
    pages: npt.NDArray[np.int64]
    moved: BoolArray
    pages_moved: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """Batches of one source node, in the order they were tried; iterating gives each.

    `batches` (`candidates.MOVED_BATCH`) has a row a batch; `pfns`, `pages` and `moved` are
    those of all their folios, batch after batch.
    """

    from_nid: int
    batches: npt.NDArray[np.void]
    pfns: U64Array
    pages: npt.NDArray[np.int64]
    moved: BoolArray

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        start = 0
        for folios, nid, memcg, moved in self.batches.tolist():
            rows = slice(start, start + folios)
            start += folios
            yield Batch(
                self.from_nid,
                nid,
                memcg,
                self.pfns[rows],
                self.pages[rows],
                self.moved[rows],
                moved,
            )

    def pages_by_memcg(self) -> dict[int, int]:
        """Pages that moved by memcg, in the order of each one's first batch."""
        found: dict[int, int] = {}
        columns = (self.batches[name].tolist() for name in ("memcg", "pages_moved"))
        for memcg, pages in zip(*columns, strict=True):
            found[memcg] = found.get(memcg, 0) + pages
        return found
