"""What a replay ends with, and its summary (R10.4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy.typing as npt

from pghot.baselines.shares import Baselines, Share
from pghot.engine import summary
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.units import USEC_PER_SEC
from pghot.log.machine import Machine
from pghot.replaying.start import LOGGED
from pghot.results.prices import prices_on
from pghot.results.provenance import (
    LogFacts,
    Made,
    digest,
    machine_facts,
    node_facts,
    outcome,
    provenance,
)
from pghot.results.verdict import Verdict, untold, verdict_of

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
    `taken_by`: the tool and the event that a converted log is of.  `start`: where pages were
    before the first access.  `log_path`, `span_us`: the log, and from its first row to its
    last; `accesses_a_row`: how many one stands for, where that is known; `made`: who made
    the result.  `served`, `baselines`: shares of accesses that the top tier
    served, with promotion and without; None where the host's own answers were replayed.
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
    machine: Machine | None = None
    start: str = LOGGED
    served: Share | None = None
    baselines: Baselines | None = None
    log_path: Path | None = None
    machine_name: str | None = None
    span_us: int = 0
    accesses_a_row: float | None = None
    made: Made | None = None

    def __repr__(self) -> str:
        shares = "" if self.fast_share is None else f", {self.fast_share:.1%} served fast"
        moved = f"{self.promoted_pages:,} pages promoted"
        return f"<replay of {self.accesses:,} accesses{shares}, {moved}>"

    @property
    def log(self) -> LogFacts | None:
        """The log; its digest is made when this is asked for."""
        if self.log_path is None:
            return None
        name = str(self.log_path).encode(errors="replace").decode()
        span_s = self.span_us / USEC_PER_SEC
        return LogFacts(name, digest(self.log_path), self.accesses, span_s, self.taken_by)

    @property
    def fast_share(self) -> float | None:
        """Share of the accesses that the top tier served; None where that is not known."""
        return self.served.whole if self.served else None

    @property
    def steady_fast_share(self) -> float | None:
        """The same share over the second half of the log."""
        return self.served.steady if self.served else None

    @property
    def promoted_pages(self) -> int:
        """Pages that moved to a target node."""
        return self.pages_promoted

    @property
    def demoted_pages(self) -> int:
        """Pages that were demoted: a replay has none."""
        return 0

    @property
    def refused(self) -> dict[str, int]:
        """Ready folios that did not move, by reason."""
        return dict(self.engine.refused)

    @property
    def time(self) -> Verdict | None:
        """Whether promotion paid, in time, against first touch; None where it cannot be said."""
        if self.served is None or self.baselines is None:
            return None
        prices = prices_on(self.machine)
        return verdict_of(
            self.served,
            self.baselines,
            self.accesses,
            prices.moves_s(self.promoted_pages, self.batches),
            self.span_us / USEC_PER_SEC,
            self.accesses_a_row,
            prices,
        )

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
        if self.baselines is not None:
            return self.baselines.as_placed.whole or 0.0
        return self.engine.accesses_born_on_toptier / self.accesses if self.accesses else 0.0

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        said = {"taken_by": self.taken_by} if self.taken_by else {}
        common = summary.summary(
            self.engine,
            {nid: self.memory.free_pages(nid) for nid in self.memory.node_ids()},
            batches=self.batches,
            accesses=self.accesses,
            elapsed_us=self.elapsed_us,
        )
        return said | common | self._provenance() | self._outcome()

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of records.npz."""
        return summary.records(self.engine)

    def binned(self, binner: RunBinner) -> Binned:
        """What was binned of it."""
        binned = binner.binned(
            "replay",
            self.engine,
            shares=not self.as_live,
            without=self.start == LOGGED,
            as_live=self.as_live,
        )
        if self.log_path is None:
            return binned
        from pghot.replaying.by_region import region_heats  # noqa: PLC0415 - only with -o

        heats = region_heats(self.log_path, binner.moved)
        return msgspec.structs.replace(binned, regions=heats)

    def _provenance(self) -> dict[str, Any]:
        nodes = [
            node_facts(node.id, node.pages, node.free_pages, toptier=node.toptier)
            for node in (self.machine.nodes if self.machine else ())
        ]
        return provenance(
            self.made,
            "replay",
            fidelity=self.engine.fidelity.name,
            log=self.log,
            machine=machine_facts(self.machine_name, nodes),
            start=self.start,
        )

    def _outcome(self) -> dict[str, Any]:
        time = self.time
        return outcome(
            self.served,
            self.baselines,
            promoted_pages=self.promoted_pages,
            demoted_pages=self.demoted_pages,
            refused=self.refused,
            time=time.to_dict() if time else untold("the host's own answers were replayed"),
        )
