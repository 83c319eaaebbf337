"""What a live run adds to an event log: whose a page is, and what move_pages answered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.engine import Engine
from pghot.engine.memory import U64Array
from pghot.linux.moves import REASONS
from pghot.live.machine import HostMachine
from pghot.live.mover import BEFORE, DRY_RUN, HostMover
from pghot.live.owners import Owners
from pghot.log.events import EventLog, Events, Told

STATUSES = BEFORE | REASONS | {DRY_RUN: "would have been asked for (dry run)"}


def observe(
    events: Events, engine: Engine, machine: HostMachine, mover: HostMover, owners: Owners
) -> EventLog:
    """Log the events of a live engine from now on."""

    def owners_of(pfns: U64Array) -> tuple[npt.NDArray[np.int32], U64Array]:
        return owners.of(machine.mem_map.places(pfns))

    return events.log(engine, Told(owners_of, STATUSES, lambda: mover.answers))
