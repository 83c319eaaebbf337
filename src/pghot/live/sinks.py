"""Who takes the rows of a live run: a log alone, or the engine with or without a log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EBUSY
from typing import ParamSpec, Protocol

import numpy as np
import numpy.typing as npt

from pghot.driving.answer_log import AnswerLog, EntryKind
from pghot.driving.driver import Driver
from pghot.driving.outside_events import Folios, Marked, Stayed, Write
from pghot.driving.wake_up_rows import all_of
from pghot.engine.distinct import distinct
from pghot.engine.errors import TunableError
from pghot.engine.memory import U64Array
from pghot.linux.nodes.topology import Topology
from pghot.live.beside import Beside
from pghot.live.machine import HostMachine
from pghot.live.mappings import Mappings
from pghot.live.mover import HostMover
from pghot.live.page_metadata import PageMetadata
from pghot.live.placement import AllowedPlaces
from pghot.log.regions import MappedRegion
from pghot.log.schema import Columns

P = ParamSpec("P")

RECORD_STEP_US = 100_000
"""Microseconds between two writes of a recording without an engine."""

PART_US = 2_000_000
"""Microseconds of a recording that a crash may cost at the most."""


OF_THE_GRID = ("kmigrated_sleep_ms",)
"""Tunables that say when the wake-ups are: a replay keeps to one grid of them."""


class PartWriter(Protocol):
    """A log under way (`log.parts`)."""

    def write(self, rows: Columns) -> None:
        """Add rows."""

    def add_tape(self, text: str) -> None:
        """Add a piece of the answers to the part at hand."""

    def add_regions(self, regions: Sequence[MappedRegion]) -> None:
        """Add mappings to the part at hand."""

    def end_part(self) -> None:
        """Put on disk what was added since the last part."""


class DetailedLog(Protocol):
    """An event log that is told whose accesses are recorded next (`event_details`)."""

    def accessed_by(self, pid: npt.NDArray[np.int32], vaddr: U64Array) -> None:
        """Take pids and addresses."""


class LogSink:
    """A log that takes all rows, and a part every few seconds."""

    step_us = RECORD_STEP_US

    def __init__(
        self,
        writer: PartWriter,
        machine: HostMachine,
        answers: AnswerLog,
        mappings: Mappings,
        beside: Beside | None = None,
    ) -> None:
        """Where it is `beside` a run, that goes on when the log cannot."""
        self._writer = writer
        self._mappings = mappings
        self._mapped = 0
        self._beside = beside
        self._machine = machine
        self._answers = answers
        self._part_due = PART_US

    def wake(self, instant: int, rows: Columns) -> None:
        """Write the rows, and end a part where it is time."""
        self._mappings.see(instant, rows)
        self.write(rows)
        self.woken(instant)

    def write(self, rows: Columns) -> None:
        """Write rows."""
        if len(rows["time_us"]):
            self._do(self._writer.write, rows)

    def last(self, instant: int, rows: Columns) -> None:
        """Write the last rows, up to `instant`, of a recording without an engine."""
        self._mappings.see(instant, rows)
        self.write(rows)
        self._keep_mappings()

    def woken(self, instant: int) -> None:
        """End a part where it is time: rows, and what the machine answered for them."""
        if instant >= self._part_due:
            self._part_due = instant + PART_US
            self._do(self._end_part)

    def end(self, instant: int) -> None:
        """Put on disk what is left: the last wake-up was at `instant`."""
        self._answers.note(EntryKind.END, instant, ())
        self._do(self._end_part)

    def _do(self, act: Callable[P, None], *arguments: P.args, **options: P.kwargs) -> None:
        if self._beside is None:
            act(*arguments, **options)
        elif not self._beside.do(act, *arguments, **options):
            self._answers.stop()

    def _end_part(self) -> None:
        text = self._answers.take()
        if text:
            self._writer.add_tape(text)
        self._keep_mappings()
        self._writer.end_part()

    def _keep_mappings(self) -> None:
        regions = self._mappings.regions[self._mapped :]
        self._writer.add_regions(regions)
        self._mapped += len(regions)

    def renewed(self, pid: int) -> None:
        """Have a look at the mappings of the other program."""
        self._mappings.renewed(pid)

    def host_is(self, instant: int, topology: Topology) -> None:  # noqa: ARG002
        """Take in how the host looks now."""
        self._machine.follow(topology)


class EngineSink:
    """The engine on the host: page metadata, records, and every wake-up of kmigrated."""

    def __init__(
        self,
        driver: Driver,
        machine: HostMachine,
        metadata: PageMetadata,
        mover: HostMover,
        log: LogSink | None,
        mappings: Mappings | None = None,
    ) -> None:
        self.driver = driver
        self._mappings = mappings
        self._machine = machine
        self._metadata = metadata
        self._mover = mover
        self._log = log
        self.events: DetailedLog | None = None
        self.marked: Callable[[], int] = int
        """The pages of targets that were made prot_none since it was called last."""
        self.placement: AllowedPlaces | None = None

    @property
    def step_us(self) -> int:
        """Microseconds between two wake-ups: kmigrated's sleep, a tick where it has none."""
        return self.driver.step_us

    def wake(self, instant: int, rows: Columns) -> None:
        """Record the rows, then let every kmigrated look."""
        self.driver.reach(instant)
        if len(rows["time_us"]):
            if self.placement is not None:
                self.placement.notice(distinct(rows["pid"]).tolist())
            self._record(instant, rows)
        self._machine.look_again()
        self.driver.wake()
        if self._log is not None:
            self._log.woken(instant)

    def write(self, name: str, text: str) -> None:
        """Write a tunable between two wake-ups; TunableError where it is refused."""
        if self._log is not None and name in OF_THE_GRID:
            raise TunableError(
                EBUSY, f"{name}: cannot change while a log is recorded: its wake-ups are fixed"
            )
        self.driver.happens(Write(name, text))

    def stayed(self, looked_at: int, demoted: int) -> None:
        """Tell the engine, between two wake-ups, how many promoted pages did not stay."""
        self.driver.happens(Stayed(looked_at, demoted))

    def renewed(self, pid: int) -> None:
        """Forget the old memory of a process that executes another program."""
        self._mover.pagemap.forget(pid)
        if self._mappings is not None:
            self._mappings.renewed(pid)
        if self.placement is not None:
            self.placement.forget(pid)

    def host_is(self, instant: int, topology: Topology) -> None:
        """Take in memory that came since."""
        self.driver.reach(instant)
        for online in self._machine.follow(topology):
            self.driver.happens(online)
        self.driver.engine.nodes_changed()

    def _record(self, instant: int, rows: Columns) -> None:
        if pages := self.marked():
            self.driver.happens(Marked(pages))
        rows, folios = self._metadata.learn(rows)
        if len(folios):
            self.driver.happens(Folios(folios))
        if self._mappings is not None:
            self._mappings.see(instant, rows)
        if self._log is not None:
            self._log.write(rows)
        if self.events is not None:
            self.events.accessed_by(rows["pid"], rows["vaddr"])
        self.driver.record(all_of(instant, rows, self.driver.engine.hz))
        self._metadata.own(rows, self.driver.engine.hot_map.is_ready)
