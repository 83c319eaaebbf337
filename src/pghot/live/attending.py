"""What is looked after several times a second beside the wake-ups of a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from pghot.engine.fault_latency import FaultLatency
from pghot.errors import Caution, PghotError
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.live.clock import Clock
from pghot.live.demoted_again import DemotedAgain
from pghot.live.evidence import RunMarks
from pghot.live.publisher import Publisher
from pghot.live.reorder_buffer import ReorderBuffer
from pghot.live.scan_pace import ScanPace, ScanPacer
from pghot.live.session import Session
from pghot.live.sinks import EngineSink
from pghot.sources import hint_faults

if TYPE_CHECKING:
    from pghot.live.trial import Trial

FLAT = (
    "no page of slow memory is accessed more often than others: nothing is promoted until that "
    "changes"
)
NOT_FLAT = "some pages of slow memory are accessed more often than others again: promoting"


def pacer(
    session: Session, buffer: ReorderBuffer, tell: Callable[[str], None]
) -> ScanPacer | None:
    """What keeps hint faults within their budget; None where there are none, or no budget."""
    budget = session.options.budget
    sources = [source for source in session.sources if source.name == hint_faults.NAME]
    if not sources or budget is None or not session.paced:
        return None
    counts = sources[0].counts
    return ScanPacer(
        ScanPace(budget),
        session.targets,
        lambda: buffer.hint_faults + counts.lost,
        partial(_set, session.guard, tell),
        lambda: counts.lost,
    )


def _set(guard: SettingsGuard, tell: Callable[[str], None], path: str, value: str) -> bool:
    """Change a setting during a run; whether that was done.

    Nothing that somebody else has set since is written over (`SessionWatch` tells of it), and no
    failure ends the run.
    """
    if any(changed.path == path for changed in guard.changed_by_others()):
        return False
    try:
        guard.set(path, value)
    except PghotError as error:
        tell(Caution(f"{error}: the pace of the scan stays as it is"))
        return False
    return True


class Followup:
    """Tells the engine what stayed of what it promoted, and a person when nothing can be won."""

    def __init__(
        self, clock: Clock, sink: EngineSink, staying: DemotedAgain, tell: Callable[[str], None]
    ) -> None:
        self._clock, self._sink, self._staying, self._tell = clock, sink, staying, tell
        self._flat = False

    def look(self, faults: FaultLatency) -> None:
        """Look once."""
        looked_at, demoted = self._staying.look(self._clock.now_us())
        if looked_at:
            self._sink.stayed(looked_at, demoted)
        if faults.flat != self._flat:
            self._flat = faults.flat
            self._tell(FLAT if self._flat else NOT_FLAT)


class Looks:
    """What is looked after between two drains, and what once a second."""

    def __init__(
        self,
        clock: Clock,
        published: Publisher,
        followup: Followup,
        evidence: RunMarks,
        paced: ScanPacer | None,
        trial: Trial | None,
    ) -> None:
        self._clock, self._published, self._followup = clock, published, followup
        self._evidence, self._pacer, self._trial = evidence, paced, trial

    def attend(self, faults: FaultLatency) -> None:
        """Look after all of it; the scan's pace only where the scan is ours."""
        if self._trial is not None:
            self._trial.attend()
        if self._pacer is not None and (self._trial is None or self._trial.switch.on):
            self._pacer.pace.resting = faults.resting
            self._pacer.attend(self._clock)
        self._published.attend()
        self._followup.look(faults)

    def second(self, us: int) -> None:
        """Take in that a second has gone."""
        self._evidence.second(us)
        self._published.second(us)
