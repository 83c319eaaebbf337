"""What came of a live run, as plain values for a table and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pghot.baselines.shares import Share
from pghot.engine import reasons, summary
from pghot.engine.engine import Engine
from pghot.engine.recorder import PGHOT_HWHINTS
from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.live.beside import Losses
from pghot.live.demoted_again import DemotedAgain
from pghot.live.evidence import RunMarks
from pghot.live.machine import HostMachine
from pghot.live.mappings import Mappings
from pghot.live.mover import HostMover
from pghot.live.page_metadata import PageMetadata
from pghot.live.reorder_buffer import ReorderBuffer
from pghot.live.rmap import Rmap
from pghot.live.scan_pace import ScanPacer
from pghot.live.trial import Trial
from pghot.results.provenance import Made, machine_facts, node_facts, outcome, provenance
from pghot.results.verdict import untold
from pghot.sources.live_source import LiveSource

if TYPE_CHECKING:
    from pghot.binning.forms import Binned
    from pghot.binning.run_binner import RunBinner


UNTOLD = (
    "a host runs once: --trial sets it beside no promotion; or record it, and replay its log with "
    "--start first-touch"
)
"""Why a run does not say whether promotion paid."""

TRIED = "a trial measures what it is asked to, not the time of each access: see there"
"""Why a trial does not say what promotion saved in seconds."""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """A run of the engine on a host, under way or ended.

    `elapsed_us` is real time; `why` says what ended it; `kernel_promoted` are pages that
    the kernel itself promoted meanwhile (its pgpromote_success); `memcg_names` the control
    groups of the memcgs that pages were promoted for, where they can be known; `losses` what
    of its outputs was lost.
    """

    engine: Engine
    machine: HostMachine
    sources: Sequence[LiveSource]
    buffer: ReorderBuffer
    metadata: PageMetadata
    mover: HostMover
    rmap: Rmap
    guard: SettingsGuard
    reason: str
    dry_run: bool
    elapsed_us: int
    instant: int
    rows: int
    batches: int
    cpu_s: float
    kernel_promoted: int
    memcg_names: Mapping[int, str]
    why: str = ""
    losses: Losses = field(default_factory=Losses)
    staying: DemotedAgain | None = None
    pacer: ScanPacer | None = None
    evidence: RunMarks | None = None
    trial: Trial | None = None
    mappings: Mappings | None = None
    made: Made | None = None

    @property
    def hardware_alone(self) -> bool:
        """Whether the processor's samples are the one source.

        Hint faults show slow memory alone, and what others report, who knows.
        """
        if any(source.name != source.reports_as for source in self.sources):
            return False
        return self.engine.tunables["enabled_sources"] == 1 << PGHOT_HWHINTS

    @property
    def fast_share(self) -> float | None:
        """Share of the sampled accesses that the top tier served; None where nobody knows.

        Of hardware samples alone: hint faults show slow memory, and no more of a page that is
        accessed often.
        """
        served = self.evidence.served if self.evidence else None
        return served.fast / served.samples if served and served.samples else None

    @property
    def found(self) -> int:
        """Folios that were found hot."""
        return sum(kmigrated.found for kmigrated in self.engine.kmigrated.values())

    @property
    def promoted(self) -> int:
        """Pages that are on a top-tier node now through us."""
        return self.engine.vmstat["pgpromote_success"]

    @property
    def cpu_share(self) -> float:
        """Our own CPU time over real time, 1 for a whole CPU."""
        return self.cpu_s * USEC_PER_SEC / self.elapsed_us if self.elapsed_us else 0.0

    @property
    def left_out(self) -> dict[str, int]:
        """Samples of which no access was recorded, by reason."""
        return {
            name: n for name, n in (self.buffer.left_out + self.metadata.left_out).items() if n
        }

    def helps(self) -> dict[str, Any] | None:
        """What can be known of whether it helps, as plain values."""
        return self.evidence.to_dict(self.elapsed_us) if self.evidence else None

    def refusals(self) -> dict[str, tuple[int, str]]:
        """How many times a hot folio did not move by reason, with the reason in words."""
        engine = {
            name: (self.engine.refused[name], words)
            for name, words in reasons.LIVE.items()
            if self.engine.refused[name]
        }
        return engine | self.mover.refusals()

    def summary(self) -> dict[str, Any]:
        """The keys of a replay's summary.json, and under `live` what only a host has."""
        trial = self.trial.result().to_dict() if self.trial else None
        return self.figures() | self._provenance() | self._outcome() | {"trial": trial}

    def figures(self) -> dict[str, Any]:
        """What was counted so far: the summary without what the run was made of."""
        nodes = [node.id for node in self.machine.topology.nodes]
        common = summary.summary(
            self.engine,
            {nid: self.machine.free_pages(nid) for nid in nodes},
            batches=self.batches,
            accesses=self.rows,
            elapsed_us=self.instant,
        )
        return common | {"live": self._live()}

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of records.npz, as a replay does."""
        return summary.records(self.engine)

    def binned(self, binner: RunBinner) -> Binned:
        """What was binned of it.

        Hint faults show accesses to slow memory alone: how many were fast is not known then.
        """
        from msgspec.structs import replace  # noqa: PLC0415 - only with -o

        from pghot.binning.forms import Histogram  # noqa: PLC0415 - only with -o

        latencies = self.mover.budget.latencies
        binned = binner.binned(
            "run",
            self.engine,
            shares=self.hardware_alone,
            refused={name: count for name, (count, _) in self.refusals().items()},
            latency_ms=Histogram(
                upto=[ms for ms, _ in latencies.buckets()],
                counts=[n for _, n in latencies.buckets()],
            )
            if latencies.count
            else None,
        )
        if self.mappings is None:
            return binned
        return replace(
            binned,
            heat=list(map(self.mappings.named, binned.heat)),
            regions=self.mappings.heats(),
        )

    def _provenance(self) -> dict[str, Any]:
        nodes = [
            node_facts(
                node.id,
                node.total_bytes >> PAGE_SHIFT,
                node.free_bytes >> PAGE_SHIFT,
                toptier=node.toptier,
            )
            for node in self.machine.topology.nodes
        ]
        return provenance(
            self.made,
            "run",
            fidelity=self.engine.fidelity.name,
            log=None,
            machine=machine_facts(None, nodes),
            start=None,
        )

    def _outcome(self) -> dict[str, Any]:
        return outcome(
            Share(self.fast_share, None),
            None,
            promoted_pages=self.promoted,
            demoted_pages=None,
            refused={name: count for name, (count, _) in self.refusals().items()},
            time=untold(TRIED if self.trial else UNTOLD),
        )

    def _fault_latency(self) -> dict[str, Any]:
        """What the latencies of hint faults said at the end; times in microseconds."""
        faults = self.engine.fault_latency
        return {
            "ready": faults.passed,
            "not_ready": faults.over,
            "threshold_us": faults.threshold_us,
            "excess": faults.excess,
            "flat": faults.flat,
        }

    def _cost(self) -> dict[str, Any] | None:
        """What hint faults cost by count and price; None where no budget was kept."""
        if self.pacer is None:
            return None
        return {
            "faults": self.pacer.faults,
            "share_of_targets_cpu": self.pacer.targets_share,
            "scan_size_mb": int(self.pacer.pace.size_mb),
        }

    def _move_cost(self) -> dict[str, Any]:
        """What moves cost by count and price, as a share of one CPU."""
        spending = self.mover.spending
        spent_ns = spending.spent_ns if spending is not None else 0
        return {"share_of_a_cpu": spent_ns / max(self.elapsed_us * 1000, 1)}

    def _live(self) -> dict[str, Any]:
        budget = self.mover.budget
        memcgs = {
            str(memcg): pages for memcg, pages in self.engine.memcg_promoted.items() if pages
        }
        return {
            "fidelity": self.engine.fidelity.name,
            "sources": {s.name: dataclasses.asdict(s.counts) for s in self.sources},
            "chosen": self.reason,
            "found_hot": self.found,
            "promoted_pages": self.promoted,
            "refused": {name: count for name, (count, _) in self.refusals().items()},
            "left_out": self.left_out,
            "late_rows": self.buffer.late,
            "owners": {"kept": self.rmap.kept, "let_go": self.rmap.let_go},
            "memcg_promoted": memcgs,
            "memcg_names": {str(m): n for m, n in self.memcg_names.items() if str(m) in memcgs},
            "batch_latency": budget.latencies.summary() | {"over_budget": budget.over},
            "kernel_promoted_pages": self.kernel_promoted,
            "dry_run": self.dry_run,
            "real_s": self.elapsed_us / USEC_PER_SEC,
            "cpu_s": self.cpu_s,
            "ended": self.why,
            "lost_outputs": dict(self.losses.why),
            "fault_latency": self._fault_latency(),
            "hint_fault_cost": self._cost(),
            "move_cost": self._move_cost(),
            "looked_at_after_a_minute": self.staying.looked_at if self.staying else 0,
            "demoted_within_a_minute": self.staying.demoted if self.staying else 0,
            "helps": self.helps(),
            "trial_progress": self.trial.progress if self.trial else "",
        }
