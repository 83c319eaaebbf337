"""A live run as a line a second on stderr."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from pghot.engine.units import USEC_PER_SEC
from pghot.report.helps import short_line
from pghot.report.sizes import size
from pghot.report.stderr import Messages

if TYPE_CHECKING:
    from pghot.live.result import LiveResult


def status_line(result: LiveResult) -> str:
    """The state of things in one line."""
    seen = sum(source.counts.seen for source in result.sources)
    lost = sum(source.counts.lost for source in result.sources)
    refused = sum(count for count, _ in result.refusals().values())
    parts = [
        f"{result.elapsed_us / USEC_PER_SEC:6.0f} s",
        result.trial.progress if result.trial else "",
        f"samples {seen:,}",
        short_line(result.helps()),
        f"hot {result.found:,}",
        f"promoted {result.promoted:,} ({size(result.promoted)})",
        f"refused {refused:,}",
        f"cpu {result.cpu_share:.0%}",
        f"lost {lost:,}" if lost else "",
    ]
    return "  ".join(filter(None, parts))


class StatusLine:
    """Writes the line to a stream: over itself on a terminal, every `period_s` elsewhere."""

    def __init__(self, period_s: float = 10, stream: TextIO | None = None) -> None:
        self._messages = Messages(stream, _missing)
        self._terminal = self._messages.terminal
        self._period_us = int(period_s * USEC_PER_SEC)
        self._due = self._period_us
        self._width = 0

    def show(self, result: LiveResult) -> None:
        """Write how things are, where it is time."""
        if self._terminal:
            # A longer one would go on in the next row, and the next status leave it there.
            line = status_line(result)[: get_terminal_size().columns - 1]
            self._messages.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif result.elapsed_us >= self._due:
            self._due = result.elapsed_us + self._period_us
            self._messages.write(status_line(result) + "\n")

    def say(self, line: str) -> None:
        """Write a line of another kind, and do not mix it with the status."""
        self.end()
        self._messages.write(f"pghot: {line}\n")

    def end(self) -> None:
        """Leave the status line."""
        if self._terminal and self._width:
            self._messages.write("\r" + " " * self._width + "\r")
            self._width = 0


def _missing(count: int) -> str:
    return f"pghot: {count} messages before this one were dropped\n"
