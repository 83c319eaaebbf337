"""Everything that is binned of a replay or a live run while it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pghot.binning.address_heat import AddressHeat
from pghot.binning.forms import Binned, HeatMap, Histogram
from pghot.binning.pfn_heat import PfnHeat
from pghot.binning.run_series import RunSeries
from pghot.engine.engine import Engine
from pghot.engine.memory import Node

LIVE_LEVELS_US = 1_000_000
"""Microseconds between two looks at a host's free pages."""


class _Heat(Protocol):
    def reach(self, instant: int) -> None:
        """Have the maps go on until `instant`."""

    def maps(self) -> list[HeatMap]:
        """The maps."""


class RunBinner:
    """Told of rows and wake-ups by whoever runs the engine; tells a report at the end."""

    def __init__(self) -> None:
        self._series: RunSeries | None = None
        self._heat: _Heat | None = None

    def begin(self, nodes: Sequence[Node], step_us: int) -> None:
        """Start for a replay: `nodes` of the machine, `step_us` from one wake-up to the next."""
        self._pfns = PfnHeat(nodes, step_us)
        self._heat = self._pfns
        self._series = RunSeries(step_us, [node.id for node in nodes])

    def begin_live(self, nids: Sequence[int], step_us: int) -> None:
        """Start for a host with these nodes."""
        self._addresses = AddressHeat(step_us)
        self._heat = self._addresses
        self._series = RunSeries(step_us, nids, LIVE_LEVELS_US)

    def rows(self, instant: int, pfns: npt.NDArray[np.uint64]) -> None:
        """Take accesses of a replay that are recorded before the wake-up at `instant` (us)."""
        self._pfns.add(instant, pfns)

    def live_rows(self, instant: int, rows: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take accesses of a host, with their pid and vaddr."""
        self._addresses.add(instant, rows["pid"], rows["vaddr"])

    def looked(
        self, instant: int, accesses: int, engine: Engine, free_pages: Callable[[int], int]
    ) -> None:
        """Take in how things are after a wake-up; `accesses` are all rows so far."""
        if self._series is not None and self._heat is not None:
            self._series.looked(instant, accesses, engine, free_pages)
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
