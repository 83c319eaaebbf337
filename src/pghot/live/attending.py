"""What is looked after several times a second beside the wake-ups of a run."""

from __future__ import annotations

from collections.abc import Callable

from pghot.engine.fault_latency import FaultLatency
from pghot.live.clock import Clock
from pghot.live.pump import Pump
from pghot.live.scan_pace import Pacer, ScanPace
from pghot.live.session import Session
from pghot.live.stages import EngineStage
from pghot.live.staying import Staying
from pghot.sources import hint_faults

FLAT = (
    "no page of slow memory is accessed more often than others: nothing is promoted until that "
    "changes"
)
NOT_FLAT = "some pages of slow memory are accessed more often than others again: promoting"


def pacer(session: Session, pump: Pump) -> Pacer | None:
    """What keeps hint faults within their budget; None where there are none, or no budget."""
    budget = session.options.budget
    sources = [source for source in session.sources if source.name == hint_faults.NAME]
    if not sources or budget is None or not session.paced:
        return None
    counts = sources[0].counts
    return Pacer(
        ScanPace(budget),
        session.targets,
        lambda: pump.hint_faults + counts.lost,
        session.guard.set,
    )


class Attending:
    """Does it all; call it as often as you like."""

    def __init__(
        self,
        clock: Clock,
        pacer: Pacer | None,
        *others: Callable[[], None],
    ) -> None:
        self._clock, self._pacer, self._others = clock, pacer, others

    def __call__(self) -> None:
        """Look after each of them."""
        if self._pacer is not None:
            self._pacer.attend(self._clock)
        for other in self._others:
            other()


class Verdict:
    """Tells the engine what stayed of what it promoted, and a person when nothing can be won."""

    def __init__(
        self, clock: Clock, stage: EngineStage, staying: Staying, tell: Callable[[str], None]
    ) -> None:
        self._clock, self._stage, self._staying, self._tell = clock, stage, staying, tell
        self._flat = False

    def look(self, faults: FaultLatency) -> None:
        """Look once."""
        looked_at, demoted = self._staying.look(self._clock.now_us())
        if looked_at:
            self._stage.stayed(looked_at, demoted)
        if faults.flat != self._flat:
            self._flat = faults.flat
            self._tell(FLAT if self._flat else NOT_FLAT)
