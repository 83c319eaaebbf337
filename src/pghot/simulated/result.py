"""What came of one policy in one scenario."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pghot.binning.forms import Binned

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Timeline:
    """Columns of one length, a row every `every_s` of virtual time and one at the end.

    `time_s`; since the row before: `accesses`, `fast_accesses` (served by the top tier),
    `promoted`, `demoted` (pages), `hint_faults`, `samples`; at that time: `hot_fast` (share
    of the true hot set that is fast) and `free` (pages, shape (rows, nodes), in the order
    of `nids`).
    """

    every_s: float
    nids: tuple[int, ...]
    time_s: npt.NDArray[np.float64]
    accesses: npt.NDArray[np.float64]
    fast_accesses: npt.NDArray[np.float64]
    promoted: npt.NDArray[np.int64]
    demoted: npt.NDArray[np.int64]
    hint_faults: npt.NDArray[np.int64]
    samples: npt.NDArray[np.int64]
    hot_fast: npt.NDArray[np.float64]
    free: npt.NDArray[np.int64]

    def __repr__(self) -> str:
        return f"<timeline of {len(self.time_s):,} rows, {self.every_s:g} s each>"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Figures of a run.  Times in seconds of virtual time, sizes in pages.

    run_s: until the last thread that had a number of accesses to make has made them.
    accesses, fast_accesses: made, and served by the top tier.
    promoted, demoted: pages moved up and down; ping_pong: pages promoted again within 10 s
        of their demotion.
    accuracy: share of the promoted pages that were of the true hot set then; None where
        none was promoted.
    coverage: share of the hot set that is fast, averaged over the run.
    hot_fast_s: when 90 % of the hot set was fast for the first time; None if never.
    overhead_s: CPU time by what took it: `hint faults`, `sampling`, `migration`, `scanner`,
        `kmigrated`, `kswapd`, `waiting` (for pages under way).
    counters: every vmstat counter.  refused: ready folios that did not move, by reason.
    memcg_promoted: pages promoted by memcg.
    group_s: when each group of threads ended.
    busy_s: time of threads in accesses, faults and waiting, all together.
    late_s: the longest that an access came after the log's time; None where none has one.
    binned: heat by region and time, and what an engine has of its own.
    """

    policy: str
    run_s: float
    accesses: float
    fast_accesses: float
    promoted: int
    demoted: int
    ping_pong: int
    accuracy: float | None
    coverage: float
    hot_fast_s: float | None
    overhead_s: dict[str, float]
    counters: dict[str, int]
    refused: dict[str, int]
    memcg_promoted: dict[int, int]
    group_s: dict[str, float]
    timeline: Timeline
    notes: list[str] = field(default_factory=list)
    binned: Binned | None = None
    busy_s: float = 0.0
    late_s: float | None = None

    def to_arrow(self) -> pa.Table:
        """The timeline as an Arrow table: a row for each `every_s`, a column `free.NID` a node."""
        import pyarrow as pa  # noqa: PLC0415 - a simulation does without

        line = self.timeline
        names = ("time_s", "accesses", "fast_accesses", "promoted", "demoted", "hint_faults",
                 "samples", "hot_fast")  # fmt: skip
        columns = {name: pa.array(getattr(line, name)) for name in names}
        free = {f"free.{nid}": pa.array(line.free[:, at]) for at, nid in enumerate(line.nids)}
        return pa.table(columns | free)

    def __repr__(self) -> str:
        return (
            f"<{self.policy}: {self.run_s:,.2f} s, {self.fast_share:.1%} served fast, "
            f"{self.promoted:,} pages promoted, {self.demoted:,} demoted>"
        )

    @property
    def fast_share(self) -> float:
        """Share of the accesses that the top tier served."""
        return self.fast_accesses / self.accesses if self.accesses else 0.0

    @property
    def migrated_bytes(self) -> int:
        """Bytes moved, both ways."""
        return (self.promoted + self.demoted) * 4096
