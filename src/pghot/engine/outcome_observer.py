"""Who is told what becomes of accesses and candidates, where anybody wants to know.

An engine has no observer unless one is put into `Engine.observer`; without one nothing of
this is worked out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import U64Array
from pghot.engine.recorder import Accesses

if TYPE_CHECKING:
    from pghot.engine.migrated import Batch


@dataclass(frozen=True, slots=True)
class RecordedAccesses:
    """Accesses in time order and, item by item, what becomes of each (R2).

    `outcomes` (u8) are codes of `reasons.ACCESS`.  `folios` (u64) and `pages` (i64): first PFN and
    size of the folio that was accessed; the PFN itself and 1 where there is no such page.
    `records` (u32): the folio's record after the access where that is recorded, else 0.
    """

    accesses: Accesses
    outcomes: npt.NDArray[np.uint8]
    folios: U64Array
    pages: npt.NDArray[np.int64]
    records: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Judged:
    """Candidates of a pass of the kmigrated of node `nid` at `now` jiffies, with their outcomes.

    `candidates` (`candidates.CANDIDATE`) hold until the observer returns; `outcome` 0 are those
    that moved, others are codes of `reasons.CANDIDATE`.  `threshold_ms` (i64): the throttle's
    threshold for each, as it was at the end of the pass.
    """

    nid: int
    now: int
    candidates: npt.NDArray[np.void]
    threshold_ms: npt.NDArray[np.int64]


class EngineObserver(Protocol):
    """Is told of accesses, batches and candidates; it changes nothing and calls no engine."""

    def chosen(self, rows: npt.NDArray[np.intp]) -> None:
        """Take which of the accesses of a call are recorded, where not all are, each once.

        `rows` counts the call's accesses; one that comes twice counts twice (`fault_latency`).
        """

    def recorded(self, recorded: RecordedAccesses) -> None:
        """Take accesses that an engine that has started is about to record, or ignore."""

    def moved(self, batch: Batch, now: int) -> None:
        """Take a batch that was tried at `now` jiffies, in the order of all batches."""

    def judged(self, judged: Judged) -> None:
        """Take candidates, after all batches that were made of them."""
