"""The driver of the engine: rows up to an instant, then the wake-up at that instant (R9.3).

A replay and a live run differ in where rows and instants come from, and in the `Memory`.
"""

from __future__ import annotations

from pghot.driving.answer_log import AnswerLog, EntryKind
from pghot.driving.observer import Begun, Observer
from pghot.driving.outside_events import Marked, Online, Outside, Stayed, Write, encode
from pghot.driving.wake_up_rows import WakeUpRows
from pghot.engine.engine import Engine
from pghot.engine.units import usecs_to_jiffies


class Driver:
    """Drives one engine; `answers` takes what happens from outside, where a run is recorded."""

    def __init__(
        self, engine: Engine, observer: Observer | None = None, answers: AnswerLog | None = None
    ) -> None:
        self.engine = engine
        self.instant = 0
        """Microseconds of the wake-up that is under way, or was the last."""
        self.rows = 0
        self.batches = 0
        self.observer = observer or Observer()
        self._answers = answers or AnswerLog(running=False)

    @property
    def step_us(self) -> int:
        """Microseconds between two wake-ups: kmigrated's sleep, a tick where it has none."""
        return self.engine.wake_us

    def begin(self, run: Begun) -> None:
        """Let the observer know of the run."""
        self.observer.begin(run)

    def reach(self, instant: int) -> None:
        """Be at an instant; wake-ups that were slept through are written down first."""
        if instant > self.instant + self.step_us:
            self._answers.note(EntryKind.LATE, self.instant, (instant,))
        self.instant = instant

    def reached(self) -> None:
        """Let the observer know that all before this instant is done."""
        self.observer.reached(self.instant, self.rows, self.batches)

    def record(self, rows: WakeUpRows) -> None:
        """Record rows before the wake-up of their instant."""
        self.rows += len(rows.pfn)
        self.observer.rows(rows.instant, rows.columns)
        self.engine.record_many(
            rows.pfn, rows.nid, rows.source, rows.jiffies, rows.latency_us, rows.nr
        )

    def wake(self) -> None:
        """Let every kmigrated look, at the instant that is reached."""
        for migrated in self.engine.migrations(self._jiffies(self.instant)):
            self.observer.migrated(self.instant, self.batches, migrated)
            self.batches += len(migrated)
        self.observer.woken(self.instant, self.rows)

    def happens(self, event: Outside) -> None:
        """Apply what happens now, between two wake-ups, and write it down.

        A write or a count holds from the next rows on, as of the last wake-up.
        """
        self.apply(event, self.instant)
        kind, values = encode(event)
        next_one = isinstance(event, Write | Stayed)
        self._answers.note(kind, self.instant + self.step_us * next_one, values)

    def apply(self, event: Outside, us: int) -> None:
        """Apply what happened, as of `us`."""
        match event:
            case Write(name, text):
                self.engine.write(name, text, self._jiffies(us))
            case Stayed(looked_at, demoted):
                self.engine.fault_latency.undone(looked_at, demoted)
            case Marked(pages):
                self.engine.fault_latency.marked(pages)
            case Online(start, pages):
                self.engine.memory_going_online(start, pages)

    def _jiffies(self, us: int) -> int:
        return usecs_to_jiffies(us, self.engine.hz)
