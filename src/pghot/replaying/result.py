"""What a replay ends with, and its summary (R10.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pghot.engine import summary
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine

if TYPE_CHECKING:
    from pghot.binning.forms import Binned
    from pghot.binning.run_binner import RunBinner


@dataclass(frozen=True, slots=True)
class BusyBatch:
    """A batch worth showing: its number, when it moved, how many folios and pages."""

    number: int
    time_us: int
    from_nid: int
    to_nid: int
    memcg: int
    folios: int
    pages: int


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a replay.

    `accesses` are rows replayed, `skipped` rows left out as bad, `elapsed_us` the virtual
    time of the last wake-up, `busiest` the batches that moved most pages.  `as_live`: the
    log is of a live run with these settings, and the host's own answers were replayed.
    `taken_by`: the tool and the event that a converted log is of.
    """

    engine: Engine
    memory: ArrayMemory
    accesses: int
    skipped: int
    batches: int
    elapsed_us: int
    busiest: tuple[BusyBatch, ...]
    as_live: bool = False
    taken_by: str = ""

    @property
    def pages_promoted(self) -> int:
        """Pages that moved to a target node."""
        return self.engine.vmstat["pgpromote_success"]

    @property
    def share_fast(self) -> float:
        """Share of the accesses that the top tier served."""
        return self.engine.accesses_on_toptier / self.accesses if self.accesses else 0.0

    @property
    def share_fast_without(self) -> float:
        """The same share had nothing been promoted."""
        return self.engine.accesses_born_on_toptier / self.accesses if self.accesses else 0.0

    def summary(self) -> dict[str, Any]:
        """Give the content of summary.json."""
        said = {"taken_by": self.taken_by} if self.taken_by else {}
        return said | summary.summary(
            self.engine,
            {nid: self.memory.free_pages(nid) for nid in self.memory.node_ids()},
            batches=self.batches,
            accesses=self.accesses,
            elapsed_us=self.elapsed_us,
        )

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays of records.npz."""
        return summary.records(self.engine)

    def binned(self, binner: RunBinner) -> Binned:
        """Give what was binned of it."""
        return binner.binned("replay", self.engine, shares=not self.as_live, as_live=self.as_live)
