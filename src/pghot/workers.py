"""Threads beside a run, each watched: one that dies is told, and begun again or given up."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pghot.errors import Caution, PghotError

Tell = Callable[[str], None]

AGAIN = 3
"""How often a thread that died is begun again."""

PAUSE_S = 0.5
"""How long it rests before that."""


def nobody(_line: str) -> None:
    """No progress is reported."""


class Worker:
    """A thread that does `work` until that comes back; it never keeps the process alive.

    What `work` raises ends neither the run nor, the first `again` times, the thread: `tell`
    is told, and it begins anew.
    """

    def __init__(
        self, name: str, work: Callable[[], None], tell: Tell = nobody, *, again: int = AGAIN
    ) -> None:
        self.name = name
        self._work = work
        self._tell = tell
        self._again = again
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pghot {name}", daemon=True)

    def start(self) -> None:
        """Begin; PghotError where the system has no thread left."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise PghotError(f"{self.name}: {error}") from error

    def end(self, timeout_s: float) -> bool:
        """Wait for its end, but no longer; whether it has come."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self.alive

    @property
    def alive(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def _run(self) -> None:
        for left in range(self._again, -1, -1):
            try:
                self._work()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                if self._over.is_set():
                    return
                self._say(error, left)
                if left:
                    self._over.wait(PAUSE_S)
            else:
                return

    def _say(self, error: Exception, left: int) -> None:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        why = why or type(error).__name__
        then = "begun again" if left else "given up; the run goes on without"
        self._tell(Caution(f"{self.name}: {why}; {then}"))
