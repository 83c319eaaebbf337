"""Everything that is binned of a replay or a live run while it goes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from pghot.binning.address_heat import AddressHeat
from pghot.binning.forms import Binned, Histogram
from pghot.binning.pfn_heat import PfnHeat
from pghot.binning.run_series import RunSeries
from pghot.driving.observer import Begun, Observer
from pghot.engine.engine import Engine
from pghot.engine.migrated import Migrated
from pghot.log.schema import Columns

LIVE_LEVELS_US = 1_000_000
"""Microseconds between two looks at a host's free pages."""


class RunBinner(Observer):
    """Bins a run as it goes; tells a report at the end."""

    def __init__(self) -> None:
        self._run: Begun | None = None
        self._series: RunSeries | None = None
        self._heat: PfnHeat | AddressHeat | None = None
        self.moved: list[npt.NDArray[np.uint64]] = []
        """First PFNs of the folios that a replay promoted."""

    def begin(self, run: Begun) -> None:
        """Start: by PFN in a replay, by process and address on a host."""
        self._run = run
        if run.nodes:
            self._heat = PfnHeat(run.nodes, run.step_us)
            self._series = RunSeries(run.step_us, run.nids)
        else:
            self._heat = AddressHeat(run.step_us)
            self._series = RunSeries(run.step_us, run.nids, LIVE_LEVELS_US)

    def rows(self, instant: int, rows: Columns) -> None:
        """Take accesses."""
        if isinstance(self._heat, PfnHeat):
            self._heat.add(instant, rows["pfn"])
        elif self._heat is not None:
            self._heat.add(instant, rows["pid"], rows["vaddr"])

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:  # noqa: ARG002
        """Keep which folios moved, of a replay: a host's runs may go on for months."""
        if isinstance(self._heat, PfnHeat):
            self.moved.append(migrated.pfns[migrated.moved])

    def woken(self, instant: int, rows: int) -> None:
        """Take in how things are after a wake-up; `rows` are all until then."""
        if self._run is not None and self._series is not None and self._heat is not None:
            self._series.looked(instant, rows, self._run.engine, self._run.memory.free_pages)
            self._heat.reach(instant)

    def binned(
        self,
        kind: str,
        engine: Engine,
        *,
        shares: bool,
        without: bool = True,
        refused: Mapping[str, int] | None = None,
        latency_ms: Histogram | None = None,
        as_live: bool = False,
    ) -> Binned:
        """All of it; `refused` where others than the engine refuse as well.

        `shares`: which accesses were fast can be known; `without`: and which would have been
        had nothing moved.
        """
        series = self._series.form(shares=shares, without=without) if self._series else None
        return Binned(
            kind=kind,
            name=engine.layout.name,
            fidelity=engine.fidelity.name,
            refused=dict(sorted((engine.refused if refused is None else refused).items())),
            series=series,
            heat=self._heat.maps() if self._heat else [],
            latency_ms=latency_ms,
            as_live=as_live,
        )
