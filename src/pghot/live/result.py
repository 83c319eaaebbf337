"""What came of a live run, as plain values for a table and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pghot.driving.run_state import RunState
from pghot.engine import summary
from pghot.engine.engine import Engine
from pghot.engine.recorder import PGHOT_HWHINTS
from pghot.engine.units import PAGE_SHIFT
from pghot.live.running import RunningEngine

if TYPE_CHECKING:
    from pghot.binning.forms import Binned
    from pghot.binning.run_binner import RunBinner
    from pghot.results.provenance import Made


UNTOLD = (
    "a host runs once: --trial sets it beside no promotion; or record it, and replay its log with "
    "--start first-touch"
)
"""Why a run does not say whether promotion paid."""

TRIED = "a trial measures what it is asked to, not the time of each access: see there"
"""Why a trial does not say what promotion saved in seconds."""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """What came of a run: how it stood at its end, and what it was made of until then."""

    running: RunningEngine
    state: RunState
    made: Made | None = None

    @property
    def engine(self) -> Engine:
        """The engine that ran."""
        return self.running.engine

    @property
    def hardware_alone(self) -> bool:
        """Whether the processor's samples are the one source.

        Hint faults show slow memory alone, and what others report, who knows.
        """
        if any(source.name != source.reports_as for source in self.running.session.sources):
            return False
        return self.engine.tunables["enabled_sources"] == 1 << PGHOT_HWHINTS

    def summary(self) -> dict[str, Any]:
        """The keys of a replay's summary.json, and under `live` what only a host has."""
        figures = self.state.figures()
        # The last state is of before the outputs were closed.
        figures["live"]["lost_outputs"] = dict(self.running.losses.why)
        return figures | self._provenance() | self._outcome() | {"trial": self.trial()}

    def trial(self) -> dict[str, Any] | None:
        """What came of a trial, as plain values; None where there was none."""
        trial = self.running.trial
        return trial.result().to_dict() if trial else None

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of records.npz, as a replay does."""
        return summary.records(self.engine)

    def binned(self, binner: RunBinner) -> Binned:
        """What was binned of it.

        Hint faults show accesses to slow memory alone: how many were fast is not known then.
        """
        from msgspec.structs import replace  # noqa: PLC0415 - only with -o

        from pghot.binning.forms import Histogram  # noqa: PLC0415 - only with -o

        running = self.running
        latencies = running.mover.budget.latencies
        binned = binner.binned(
            "run",
            self.engine,
            shares=self.hardware_alone,
            refused=dict(self.state.live.refused),
            latency_ms=Histogram(
                upto=[ms for ms, _ in latencies.buckets()],
                counts=[n for _, n in latencies.buckets()],
            )
            if latencies.count
            else None,
        )
        return replace(
            binned,
            heat=list(map(running.mappings.named, binned.heat)),
            regions=running.mappings.heats(),
        )

    def _provenance(self) -> dict[str, Any]:
        # At the end, not before the run: it starts the sooner.
        from pghot.results.provenance import machine_facts, node_facts, provenance  # noqa: PLC0415

        nodes = [
            node_facts(
                node.id,
                node.total_bytes >> PAGE_SHIFT,
                node.free_bytes >> PAGE_SHIFT,
                toptier=node.toptier,
            )
            for node in self.running.machine.topology.nodes
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
        from pghot.baselines.shares import Share  # noqa: PLC0415 - at the end, as above
        from pghot.results.provenance import outcome  # noqa: PLC0415
        from pghot.results.verdict import untold  # noqa: PLC0415

        live = self.state.live
        return outcome(
            Share(live.fast_share, None),
            None,
            promoted_pages=live.promoted_pages,
            demoted_pages=None,
            refused=live.refused,
            time=untold(TRIED if self.running.trial else UNTOLD),
        )
