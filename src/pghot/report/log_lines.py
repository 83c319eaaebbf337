"""What a run tells, as JSON: one object a line, for a log."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from pghot.errors import Caution
from pghot.report.stderr import Messages

if TYPE_CHECKING:
    from pghot.driving.run_state import HostFigures, RunState
    from pghot.live.result import LiveResult


class JsonLines:
    """Takes what a `StatusLine` takes, and writes each thing as an object on a line.

    Every object has `time` (UTC, RFC 3339), `level` (info, warning, error), `message` and
    `pid`; what else it has depends on the message.
    """

    def __init__(self, period_s: float = 60, stream: TextIO | None = None) -> None:
        """Write how things are every `period_s` seconds."""
        self._messages = Messages(stream, self._missing)
        self._period_s = self._due_s = period_s

    def say(self, line: str) -> None:
        """Write a line that a person should know."""
        self.log("warning" if isinstance(line, Caution) else "info", line)

    def show(self, state: RunState) -> None:
        """Write how things are, where it is time."""
        if state.live.real_s >= self._due_s:
            self._due_s = max(self._due_s + self._period_s, state.live.real_s)
            self.log("info", "running", **figures(state.live))

    def end(self) -> None:
        """Nothing is left to finish."""

    def ended(self, result: LiveResult) -> None:
        """Write what came of it."""
        live = result.state.live
        self.log("info", f"ended: {live.ended}", **figures(live) | {"trial": result.trial()})

    def log(self, level: str, message: str, **fields: Any) -> None:
        """Write an object, in one piece: other threads write as well."""
        self._messages.write(self._line(level, message, **fields))

    def _missing(self, count: int) -> str:
        return self._line("warning", f"{count} messages before this one were dropped")

    def _line(self, level: str, message: str, **fields: Any) -> str:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": now, "level": level, "message": message, "pid": os.getpid(), **fields}
        return json.dumps(line, ensure_ascii=False) + "\n"


def figures(live: HostFigures) -> dict[str, Any]:
    """The figures of a run that a log wants."""
    return {
        "elapsed_s": live.real_s,
        "samples": live.samples,
        "lost": live.lost,
        "found_hot": live.found_hot,
        "promoted_pages": live.promoted_pages,
        "refused": dict(live.refused),
        "cpu_s": live.cpu_s,
        "helps": asdict(live.helps) if live.helps else None,
        "trial": live.trial_progress or None,
    }
