"""What a run tells, as JSON: one object a line, for a log."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from pghot.engine.units import USEC_PER_SEC
from pghot.errors import Caution
from pghot.report.stderr import Messages

if TYPE_CHECKING:
    from pghot.live.result import LiveResult


class JsonLines:
    """Takes what a `StatusLine` takes, and writes each thing as an object on a line.

    Every object has `time` (UTC, RFC 3339), `level` (info, warning, error), `message` and
    `pid`; what else it has depends on the message.
    """

    def __init__(self, period_s: float = 60, stream: TextIO | None = None) -> None:
        """Write how things are every `period_s` seconds."""
        self._messages = Messages(stream, self._missing)
        self._period_us = int(period_s * USEC_PER_SEC)
        self._due = self._period_us

    def say(self, line: str) -> None:
        """Write a line that a person should know."""
        self.log("warning" if isinstance(line, Caution) else "info", line)

    def show(self, result: LiveResult) -> None:
        """Write how things are, where it is time."""
        if result.elapsed_us >= self._due:
            self._due = result.elapsed_us + self._period_us
            self.log("info", "running", **figures(result))

    def end(self) -> None:
        """Nothing is left to finish."""

    def ended(self, result: LiveResult) -> None:
        """Write what came of it."""
        trial = result.trial.result().to_dict() if result.trial else None
        self.log("info", f"ended: {result.why}", **figures(result) | {"trial": trial})

    def log(self, level: str, message: str, **fields: Any) -> None:
        """Write an object, in one piece: other threads write as well."""
        self._messages.write(self._line(level, message, **fields))

    def _missing(self, count: int) -> str:
        return self._line("warning", f"{count} messages before this one were dropped")

    def _line(self, level: str, message: str, **fields: Any) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": now, "level": level, "message": message, "pid": os.getpid(), **fields}
        return json.dumps(line, ensure_ascii=False) + "\n"


def figures(result: LiveResult) -> dict[str, Any]:
    """The figures of a run that a log wants."""
    return {
        "elapsed_s": result.elapsed_us / USEC_PER_SEC,
        "samples": sum(source.counts.seen for source in result.sources),
        "lost": sum(source.counts.lost for source in result.sources),
        "found_hot": result.found,
        "promoted_pages": result.promoted,
        "refused": {name: count for name, (count, _words) in result.refusals().items()},
        "cpu_s": result.cpu_s,
        "helps": result.helps(),
        "trial": result.trial.progress if result.trial else None,
    }
