"""Who wants to know how a run goes: of every row, wake-up and batch of a replay or a live run.

What becomes of single accesses and candidates is the engine's to tell (`engine.outcome_observer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pghot.engine.engine import Engine
from pghot.engine.memory import Node
from pghot.engine.migrated import Migrated
from pghot.log.schema import Columns, Metadata


class Levels(Protocol):
    """A machine whose free pages can be looked at."""

    def free_pages(self, nid: int) -> int:
        """Pages of the node that are free now."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has just begun: its engine, started, and its machine.

    `nids`: its nodes.  `nodes`: those with the PFNs that they have from the start, of a replay;
    none on a host.  `by_host`: a host answers, or answered when the log was taken: pages keep no
    PFN when they move, and nothing can be written.  `metadata`: what the log says of itself.
    """

    engine: Engine
    memory: Levels
    nids: Sequence[int]
    step_us: int
    nodes: Sequence[Node] = ()
    by_host: bool = False
    metadata: Metadata | None = None


class Observer:
    """Looks on; every verb does nothing here.  Times are microseconds since the start."""

    columns: tuple[str, ...] = ()
    """Optional columns of a log that are wanted, where it has them."""

    def begin(self, run: Begun) -> None:
        """Take in that a run begins."""

    def coming(self, rows: Columns) -> None:
        """Take a log's next rows, ahead of the instants that they are for."""

    def reached(self, instant: int, rows: int, batches: int) -> None:
        """Take in that all before `instant` is done: so many rows and batches.  May wait here."""

    def rows(self, instant: int, rows: Columns) -> None:
        """Take accesses that are recorded before the wake-up at `instant`."""

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:
        """Take batches that were tried at `instant`; `first` is the number of the first."""

    def woken(self, instant: int, rows: int) -> None:
        """Take in that all of the wake-up at `instant` is done; so many rows until now."""


class Observers(Observer):
    """Several as one, in this order."""

    def __init__(self, *observers: Observer | None) -> None:
        self._all = tuple(one for one in observers if one is not None)
        self.columns = tuple(dict.fromkeys(name for one in self._all for name in one.columns))

    def begin(self, run: Begun) -> None:
        """Tell each."""
        for one in self._all:
            one.begin(run)

    def coming(self, rows: Columns) -> None:
        """Tell each."""
        for one in self._all:
            one.coming(rows)

    def reached(self, instant: int, rows: int, batches: int) -> None:
        """Tell each."""
        for one in self._all:
            one.reached(instant, rows, batches)

    def rows(self, instant: int, rows: Columns) -> None:
        """Tell each."""
        for one in self._all:
            one.rows(instant, rows)

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:
        """Tell each."""
        for one in self._all:
            one.migrated(instant, first, migrated)

    def woken(self, instant: int, rows: int) -> None:
        """Tell each."""
        for one in self._all:
            one.woken(instant, rows)


class RowsDone(Observer):
    """Tells how many rows are done, after each wake-up."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell

    def woken(self, instant: int, rows: int) -> None:  # noqa: ARG002
        """Tell it."""
        self._tell(rows)
