"""Replaying a live run with the host's own answers: its free pages, folios and refusals.

`log.answer_log` holds them.  A page that moved got another frame on the host, so none moves here.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.candidates import Frames
from pghot.engine.engine import Engine
from pghot.engine.errors import TunableError
from pghot.engine.memory import BoolArray, Node, U64Array, Zone
from pghot.engine.units import usecs_to_jiffies
from pghot.log.answer_log import AnswerReader, Kind, Values, damaged, of_write, texts
from pghot.log.machine import Machine
from pghot.log.schema import Metadata


class HostMemory(ArrayMemory):
    """The machine of a live run: it answers what the host answered, in the same order."""

    def __init__(self, machine: Machine, answers: AnswerReader) -> None:
        super().__init__(machine.nodes, machine.folios)
        self._answers = answers
        self._late = 0
        self.written: set[str] = set()
        """Tunables that were written during the run."""

    @property
    def frames(self) -> Frames | None:
        """None: the host answered batch by batch."""
        return None

    def before(self, instant: int, engine: Engine) -> None:
        """Take in what was told before the rows of this wake-up were recorded."""
        told = (Kind.ONLINE, Kind.WRITE, Kind.STAYED)
        while any(self._take_in(kind, instant, engine) for kind in told):
            pass
        if self._answers.next_about(Kind.FOLIOS) == instant:
            self._learn(self._answers.take_rows(Kind.FOLIOS, instant, 3))

    def woken_at(self, instant: int, engine: Engine) -> int:
        """The wake-up that took the rows of this instant: a later one where it was late.

        And take in what was written since the wake-up before.
        """
        told = (Kind.WRITE, Kind.STAYED)
        while any(self._take_in(kind, instant, engine) for kind in told) or self._was_late(
            instant
        ):
            pass
        return max(instant, self._late)

    def after(self, engine: Engine) -> None:
        """Take in what was written after the last wake-up."""
        while any(self._take_in(kind, None, engine) for kind in (Kind.WRITE, Kind.STAYED)):
            pass

    def present_pages(self, nid: int) -> int:
        """Pages of the node, as the host said; outside a pass, as the machine file says."""
        if self._answers.next_about(Kind.PRESENT) == nid:
            return int(self._answers.take(Kind.PRESENT, nid, 1)[0])
        return super().present_pages(nid)

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's zones as they were."""
        values = self._answers.take_rows(Kind.ZONES, nid, 2)
        zones = [Zone(free, promo_wmark) for free, promo_wmark in values.tolist()]
        self._frames.free[nid] = sum(zone.free_pages for zone in zones)
        return zones

    def room(self, nid: int) -> int:
        """The room as it was."""
        return int(self._answers.take(Kind.ROOM, nid, 1)[0])

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Which folios moved then."""
        moved: BoolArray = self._answers.take(Kind.MOVED, nid, len(pfns)) != 0
        return moved

    @property
    def ended(self) -> bool:
        """Whether all answers have been asked for."""
        return self._answers.ended

    @property
    def end_us(self) -> int | None:
        """The last wake-up of the run; None where it did not end in good order."""
        return self._answers.end_us

    def _was_late(self, instant: int) -> bool:
        about = self._answers.next_about(Kind.LATE)
        if about is None or about >= instant:
            return False
        self._late = int(self._answers.take(Kind.LATE, about, 1)[0])
        return True

    def _take_in(self, kind: Kind, instant: int | None, engine: Engine) -> bool:
        """Do what the next entry says where it is of this kind and of up to `instant`."""
        about = self._answers.next_about(kind)
        if about is None or (instant is not None and about > instant):
            return False
        if kind == Kind.STAYED:
            engine.fault_latency.undone(*self._answers.take(kind, about, 2).tolist())
            return True
        if kind == Kind.WRITE:
            self._write(*of_write(self._answers.take(kind, about)), about, engine)
            return True
        start, pages, nid, toptier = self._answers.take(kind, about, 4).tolist()
        self._add(start, pages, nid, toptier=bool(toptier))
        engine.memory_going_online(start, pages)
        return True

    def _write(self, name: str, text: str, about: int, engine: Engine) -> None:
        before = max(about - engine.wake_us, 0)
        try:
            engine.write(name, text, usecs_to_jiffies(before, engine.hz))
        except TunableError as error:
            raise damaged(str(error)) from error
        self.written.add(name)

    def _add(self, start: int, pages: int, nid: int, *, toptier: bool) -> None:
        try:
            if nid in self._nodes:
                self.mem_map.add_sections(start, pages, nid)
            else:
                self.add_node(Node(nid, start, pages, toptier=toptier))
        except (ValueError, IndexError, OverflowError, MemoryError) as error:
            raise damaged(f"node {nid} cannot have got memory at PFN {start}") from error

    def _learn(self, facts: Values) -> None:
        pfns, pages, memcgs = facts.T
        last = (pfns + pages - 1).astype(np.uint64)
        known = (self.mem_map.nids_of(pfns.astype(np.uint64)) >= 0) & (
            self.mem_map.nids_of(last) >= 0
        )
        if not known.all() or (pages < 1).any():
            raise damaged("it tells of folios where there is no memory")
        self.mem_map.learn(pfns.astype(np.uint64), pages, memcgs.astype(np.uint32))


def answered_by_host(metadata: Metadata | None, engine: Engine) -> HostMemory | None:
    """The machine of the live run that a log was taken on; None where that was none.

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
    return HostMemory(machine, AnswerReader(texts(metadata.extra.get("tape", []))))
