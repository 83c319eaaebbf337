"""An event log of a replay: what becomes of every page, and whose it is where the log says so."""

from __future__ import annotations

from pghot.driving.observer import Begun, Observer
from pghot.log.events import Events
from pghot.log.regions import regions_of
from pghot.log.schema import Columns


class EventObserver(Observer):
    """Has `events` take what becomes of the rows of a replay (`engine.outcome_observer`)."""

    columns = ("pid", "vaddr")

    def __init__(self, events: Events) -> None:
        self._events = events

    def begin(self, run: Begun) -> None:
        """Observe the engine."""
        self._log = self._events.log(run.engine)
        self._regions = regions_of(run.metadata)

    def rows(self, instant: int, rows: Columns) -> None:  # noqa: ARG002
        """Say whose the accesses are that are recorded next."""
        if "pid" in rows and "vaddr" in rows:
            self._log.regions = self._regions
            self._log.accessed_by(rows["pid"], rows["vaddr"])
