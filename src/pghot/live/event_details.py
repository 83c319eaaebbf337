"""What a live run adds to an event log: whose a page is, and what move_pages answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import numpy as np
import numpy.typing as npt

from pghot.engine.engine import Engine
from pghot.engine.memory import U64Array
from pghot.engine.migrated import Batch
from pghot.engine.outcome_observer import Judged, RecordedAccesses
from pghot.engine.reasons import DRY_RUN, MOVE_PAGES, NOT_ASKED
from pghot.live.beside import Beside
from pghot.live.machine import HostMachine
from pghot.live.mover import HostMover
from pghot.live.rmap import Rmap
from pghot.log.events import EventDetails, EventLog, Events
from pghot.log.regions import MappedRegion

P = ParamSpec("P")

STATUSES = NOT_ASKED | MOVE_PAGES | {DRY_RUN: "would have been asked for (dry run)"}


class Sheltered:
    """An engine's observer whose failure the engine does not notice."""

    def __init__(self, log: EventLog, beside: Beside) -> None:
        self._log = log
        self._beside = beside

    def accessed_by(self, pid: npt.NDArray[np.int32], vaddr: U64Array) -> None:
        """Say whose the accesses are that are recorded next, in their order."""
        self._do(self._log.accessed_by, pid, vaddr)

    def chosen(self, rows: npt.NDArray[np.intp]) -> None:
        """Take which accesses are recorded."""
        self._do(self._log.chosen, rows)

    def recorded(self, recorded: RecordedAccesses) -> None:
        """Take accesses."""
        self._do(self._log.recorded, recorded)

    def moved(self, batch: Batch, now: int) -> None:
        """Take a batch."""
        self._do(self._log.moved, batch, now)

    def judged(self, judged: Judged) -> None:
        """Take candidates."""
        self._do(self._log.judged, judged)

    def _do(self, act: Callable[P, None], *arguments: P.args, **options: P.kwargs) -> None:
        if not self._beside.do(act, *arguments, **options):
            self._log.abandon()


def observe(
    events: Events,
    engine: Engine,
    machine: HostMachine,
    mover: HostMover,
    rmap: Rmap,
    beside: Beside,
    regions: Sequence[MappedRegion] = (),
) -> Sheltered:
    """Log the events of a live engine from now on; `regions` is what is mapped by then."""

    def owners_of(pfns: U64Array) -> tuple[npt.NDArray[np.int32], U64Array]:
        return rmap.of(machine.mem_map.indices(pfns))

    told = EventDetails(owners_of, STATUSES, lambda: mover.answers, regions)
    sheltered = Sheltered(events.log(engine, told), beside)
    engine.observer = sheltered
    return sheltered
