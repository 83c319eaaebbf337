"""What happens to a run from outside, between two wake-ups: as it is applied and written down.

A live run writes it into its answer log; a replay reads it there and applies the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.driving.answer_log import AnswerReader, EntryKind, Values, as_write, of_write


@dataclass(frozen=True, slots=True)
class Write:
    """A tunable was written, as `echo TEXT > FILE` would."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Online:
    """Memory came: pages of 4 KiB from PFN `start` on, of node `nid`."""

    start: int
    pages: int
    nid: int
    toptier: bool


@dataclass(frozen=True, slots=True)
class Stayed:
    """So many promoted pages were looked at a minute later; so many had been demoted again."""

    looked_at: int
    demoted: int


@dataclass(frozen=True, slots=True)
class Marked:
    """The scan for hint faults made so many pages of targets prot_none."""

    pages: int


@dataclass(frozen=True, slots=True, eq=False)
class Folios:
    """Folios turned out to be so: rows of (first PFN, pages, memcg), int64."""

    rows: Values


Outside = Write | Online | Stayed | Marked | Folios


def encode(event: Outside) -> tuple[EntryKind, npt.ArrayLike]:
    """The event as an entry of an answer log."""
    match event:
        case Write(name, text):
            return EntryKind.WRITE, as_write(name, text)
        case Online(start, pages, nid, toptier):
            return EntryKind.ONLINE, (start, pages, nid, toptier)
        case Stayed(looked_at, demoted):
            return EntryKind.STAYED, (looked_at, demoted)
        case Marked(pages):
            return EntryKind.MARKED, (pages,)
        case Folios(rows):
            return EntryKind.FOLIOS, rows


class OutsideReader:
    """Events of an answer log, each with what it is about (`EntryKind`), as their time comes."""

    def __init__(self, answers: AnswerReader) -> None:
        self._answers = answers
        self._late = 0

    def before(self, instant: int) -> Iterator[tuple[int, Outside]]:
        """What happened before the rows of this wake-up were recorded."""
        yield from self._until(instant, EntryKind.ONLINE, EntryKind.WRITE, EntryKind.STAYED)
        yield from self._until(instant, EntryKind.MARKED)
        if self._answers.next_about(EntryKind.FOLIOS) == instant:
            yield instant, Folios(self._answers.take_rows(EntryKind.FOLIOS, instant, 3))

    def since_last(self, instant: int) -> Iterator[tuple[int, Outside]]:
        """What was written since the wake-up before; `woken_at` is known once all is taken."""
        while True:
            yield from self._until(instant, EntryKind.WRITE, EntryKind.STAYED)
            if not self._was_late(instant):
                return

    def woken_at(self, instant: int) -> int:
        """The wake-up that took the rows of this instant: a later one where it was late."""
        return max(instant, self._late)

    def after(self) -> Iterator[tuple[int, Outside]]:
        """What was written after the last wake-up."""
        yield from self._until(None, EntryKind.WRITE, EntryKind.STAYED)

    def _until(self, instant: int | None, *kinds: EntryKind) -> Iterator[tuple[int, Outside]]:
        while (found := self._next(instant, kinds)) is not None:
            yield found

    def _next(
        self, instant: int | None, kinds: tuple[EntryKind, ...]
    ) -> tuple[int, Outside] | None:
        for kind in kinds:
            about = self._answers.next_about(kind)
            if about is not None and (instant is None or about <= instant):
                return about, self._taken(kind, about)
        return None

    def _taken(self, kind: EntryKind, about: int) -> Outside:
        if kind == EntryKind.STAYED:
            return Stayed(*self._answers.take(kind, about, 2).tolist())
        if kind == EntryKind.MARKED:
            return Marked(*self._answers.take(kind, about, 1).tolist())
        if kind == EntryKind.WRITE:
            return Write(*of_write(self._answers.take(kind, about)))
        start, pages, nid, toptier = self._answers.take(kind, about, 4).tolist()
        return Online(start, pages, nid, bool(toptier))

    def _was_late(self, instant: int) -> bool:
        about = self._answers.next_about(EntryKind.LATE)
        if about is None or about >= instant:
            return False
        self._late = int(self._answers.take(EntryKind.LATE, about, 1)[0])
        return True


def no_folios() -> Values:
    """No rows of `Folios`."""
    return np.zeros((0, 3), np.int64)


def rows_of(pfns: npt.ArrayLike, pages: npt.ArrayLike, memcgs: npt.ArrayLike) -> Values:
    """The rows of `Folios`."""
    return np.column_stack(
        [np.asarray(column).astype(np.int64) for column in (pfns, pages, memcgs)]
    )
