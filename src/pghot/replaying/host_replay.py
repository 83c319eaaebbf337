"""Replaying a live run with the host's own answers: its free pages, folios and refusals.

`driving.answer_log` holds them.  A page that moved got another frame on the host, so none moves
here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pghot.driving.answer_log import AnswerReader, EntryKind, Values, damaged, texts
from pghot.driving.driver import Driver
from pghot.driving.outside_events import Folios, Online, Outside, OutsideReader, Write
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.memory import BoolArray, Node, U64Array, Zone
from pghot.engine.pass_mover import PassMover
from pghot.engine.units import NID_MAX
from pghot.log.machine import Machine
from pghot.log.schema import Metadata


class HostMemory(ArrayMemory):
    """The machine of a live run: it answers what the host answered, in the same order."""

    def __init__(self, machine: Machine, answers: AnswerReader) -> None:
        super().__init__(machine.nodes, machine.folios)
        self._answers = answers
        self._targets: set[int] = set()

    def mover(self, _most: int) -> PassMover | None:
        """None: the host answered batch by batch."""
        return None

    def present_pages(self, nid: int) -> int:
        """Pages of the node, as the host said; outside a pass, as the machine file says."""
        if self._answers.next_about(EntryKind.PRESENT) == nid:
            return int(self._answers.take(EntryKind.PRESENT, nid, 1)[0])
        return super().present_pages(nid)

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's zones as they were."""
        values = self._answers.take_rows(EntryKind.ZONES, nid, 2)
        zones = [Zone(free, promo_wmark) for free, promo_wmark in values.tolist()]
        self.frames.free[nid] = sum(zone.free_pages for zone in zones)
        return zones

    def headroom(self, nid: int) -> int:
        """The headroom as it was."""
        return int(self._answers.take(EntryKind.HEADROOM, nid, 1)[0])

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Which folios moved then."""
        moved: BoolArray = self._answers.take(EntryKind.MOVED, nid, len(pfns)) != 0
        return moved

    def aim(
        self,
        from_nid: int,
        pfns: U64Array,
        cpu_nids: npt.NDArray[np.int64],  # noqa: ARG002 - the host has answered
        default: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Where the host sent folios."""
        if self._answers.next_about(EntryKind.AIMED) != from_nid:
            return default
        nids = self._answers.take(EntryKind.AIMED, from_nid, len(pfns))
        if len(nids) and not 0 <= nids.min() <= nids.max() <= NID_MAX:
            raise damaged(f"folios of node {from_nid} were sent to no node")
        self._targets.update(nids.tolist())
        return nids

    def is_target(self, nid: int) -> bool:
        """Whether it is top tier, or the host sent folios there."""
        return self.node_is_toptier(nid) or nid in self._targets

    def changed(self, event: Outside) -> None:
        """Take in memory that came, and folios that turned out to be so."""
        if isinstance(event, Online):
            self._add(event)
        elif isinstance(event, Folios):
            self._learn(event.rows)

    def _add(self, came: Online) -> None:
        try:
            if came.nid in self._nodes:
                self.mem_map.add_sections(came.start, came.pages, came.nid)
            else:
                self.add_node(Node(came.nid, came.start, came.pages, toptier=came.toptier))
        except (ValueError, IndexError, OverflowError, MemoryError) as error:
            raise damaged(f"node {came.nid} cannot have got memory at PFN {came.start}") from error

    def _learn(self, rows: Values) -> None:
        pfns, pages, memcgs = rows.T
        last = (pfns + pages - 1).astype(np.uint64)
        known = (self.mem_map.nids_of(pfns.astype(np.uint64)) >= 0) & (
            self.mem_map.nids_of(last) >= 0
        )
        if not known.all() or (pages < 1).any():
            raise damaged("it tells of folios where there is no memory")
        self.mem_map.learn(pfns.astype(np.uint64), pages, memcgs.astype(np.uint32))


class HostRun:
    """What happened to a live run from outside, for a replay to apply when its time has come."""

    def __init__(self, memory: HostMemory, answers: AnswerReader) -> None:
        self.memory = memory
        self._answers = answers
        self._outside = OutsideReader(answers)
        self.written: set[str] = set()
        """Tunables that were written during the run."""

    def before(self, driver: Driver) -> None:
        """Apply what happened before the rows of the instant that is reached were recorded."""
        for about, event in self._outside.before(driver.instant):
            self._apply(about, event, driver)

    def woken_at(self, instant: int, driver: Driver) -> int:
        """The wake-up that took the rows of this instant: a later one where it was late.

        What was written since the wake-up before is applied.
        """
        for about, event in self._outside.since_last(instant):
            self._apply(about, event, driver)
        return self._outside.woken_at(instant)

    def after(self, driver: Driver) -> None:
        """Apply what was written after the last wake-up."""
        for about, event in self._outside.after():
            self._apply(about, event, driver)

    @property
    def ended(self) -> bool:
        """Whether all answers have been asked for."""
        return self._answers.ended

    @property
    def end_us(self) -> int | None:
        """The last wake-up of the run; None where it did not end in good order."""
        return self._answers.end_us

    def _apply(self, about: int, event: Outside, driver: Driver) -> None:
        self.memory.changed(event)
        try:
            driver.apply(event, max(about - driver.step_us, 0))
        except TunableError as error:
            raise damaged(str(error)) from error
        if isinstance(event, Write):
            self.written.add(event.name)


def host_run(metadata: Metadata | None, engine: Engine) -> HostRun | None:
    """The live run that a log was taken of; None where that was none.

    And None where the run had another mode, fidelity or tunable than `engine`, or a source
    that `engine` has not: the log holds what those gave that the run had.
    """
    run = metadata.extra.get("run") if metadata else None
    if metadata is None or not isinstance(run, dict):
        return None
    tunables = {
        name: value
        for name, value in engine.tunables.as_dict().items()
        if name != "enabled_sources"
    }
    known = run.get("tunables")
    known = known if isinstance(known, dict) else {}
    same = all(known.get(name) == value for name, value in tunables.items())
    sources = known.get("enabled_sources")
    if isinstance(sources, int) and sources & ~engine.tunables["enabled_sources"]:
        same = False
    if not same or (run.get("mode"), run.get("fidelity")) != (
        engine.layout.name,
        engine.fidelity.name,
    ):
        return None
    machine = Machine.from_dict(run.get("machine", {}), "the log's live run")
    answers = AnswerReader(texts(metadata.extra.get("tape", [])))
    return HostRun(HostMemory(machine, answers), answers)
