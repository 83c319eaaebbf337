"""What a run does beside promoting pages, none of which ever ends it.

A recording, an event log, results, names for a table: each may fail, for want of disk space
or whatever else.  Then it is told once, what would have come is dropped and counted, and the
run goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from pghot.driving.observer import Begun, Observer
from pghot.engine.migrated import Migrated
from pghot.errors import Caution
from pghot.log.schema import Columns

Tell = Callable[[str], None]
P = ParamSpec("P")
T = TypeVar("T")

FAILURES = Exception
"""Mistakes of pghot's own as well: a page that could be promoted is worth more than a table."""


class Losses:
    """What of a run's outputs was lost and why, by the output's name."""

    def __init__(self) -> None:
        self.why: dict[str, str] = {}
        self._all: list[Beside] = []

    def beside(self, name: str, tell: Tell) -> Beside:
        """Something that a run does, by a name for people."""
        self._all.append(Beside(name, tell, self))
        return self._all[-1]

    def dropped(self) -> dict[str, int]:
        """How often each was asked for in vain, after it had failed; only those that were."""
        return {beside.name: beside.dropped for beside in self._all if beside.dropped}

    def lines(self) -> list[str]:
        """A line for each."""
        dropped = self.dropped()
        return [
            f"{name}: {why}" + (f" ({dropped[name]:,} dropped)" if name in dropped else "")
            for name, why in self.why.items()
        ]


class Beside:
    """One of them.  `failure` is what ended it; what it is asked then is dropped."""

    def __init__(self, name: str, tell: Tell, losses: Losses) -> None:
        self.name = name
        self.failure: Exception | None = None
        self.dropped = 0
        self._tell = tell
        self._losses = losses

    def do(self, act: Callable[P, Any], *arguments: P.args, **options: P.kwargs) -> bool:
        """Do something for it; whether that was done."""
        if self.failure is not None:
            self.dropped += 1
            return False
        try:
            act(*arguments, **options)
        except FAILURES as error:
            self.fail(error)
            return False
        return True

    def value(self, act: Callable[[], T], otherwise: T) -> T:
        """What something gives, or `otherwise` where it fails."""
        try:
            return act()
        except FAILURES as error:
            self.fail(error)
            return otherwise

    def fail(self, error: Exception) -> None:
        """Take in what ended it, and tell."""
        self.failure = error
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        why = why or type(error).__name__
        self._losses.why[self.name] = why
        self._tell(Caution(f"{self.name}: {why}; the run goes on without"))


class Lasting(AbstractContextManager[T]):
    """A context that ends beside a run: where only its end fails, that is told and no more."""

    def __init__(self, context: AbstractContextManager[T], beside: Beside) -> None:
        self._context = context
        self._beside = beside

    def __enter__(self) -> T:
        return self._context.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return self._context.__exit__(kind, error, traceback)
        except FAILURES as failure:
            if error is not None:
                raise
            self._beside.fail(failure)
            return None


class GuardedObserver(Observer):
    """An observer that never ends the run: once it has failed, batches are counted as dropped."""

    def __init__(self, observer: Observer, beside: Beside) -> None:
        self._observer = observer
        self._beside = beside

    def begin(self, run: Begun) -> None:
        """Tell it, while it works."""
        self._beside.do(self._observer.begin, run)

    def rows(self, instant: int, rows: Columns) -> None:
        """Tell it, while it works."""
        if self._beside.failure is None:
            self._beside.do(self._observer.rows, instant, rows)

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:
        """Tell it, or count what it misses."""
        self._beside.do(self._observer.migrated, instant, first, migrated)

    def woken(self, instant: int, rows: int) -> None:
        """Tell it, while it works."""
        if self._beside.failure is None:
            self._beside.do(self._observer.woken, instant, rows)
