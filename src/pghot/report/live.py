"""A live run as a line a second on stderr."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TYPE_CHECKING, TextIO

from pghot.report.helps import short_line
from pghot.report.sizes import size
from pghot.report.stderr import Messages

if TYPE_CHECKING:
    from pghot.driving.run_state import HostFigures, RunState


def status_line(live: HostFigures) -> str:
    """How a run stands in one line."""
    parts = [
        f"{live.real_s:6.0f} s",
        live.trial_progress,
        f"samples {live.samples:,}",
        short_line(live.helps),
        f"hot {live.found_hot:,}",
        f"promoted {live.promoted_pages:,} ({size(live.promoted_pages)})",
        f"refused {sum(live.refused.values()):,}",
        f"cpu {live.cpu_share:.0%}",
        f"lost {live.lost:,}" if live.lost else "",
    ]
    return "  ".join(filter(None, parts))


class StatusLine:
    """Writes the line to a stream: over itself on a terminal, every `period_s` elsewhere."""

    def __init__(self, period_s: float = 10, stream: TextIO | None = None) -> None:
        self._messages = Messages(stream, _missing)
        self._terminal = self._messages.terminal
        self._period_s = self._due_s = period_s
        self._width = 0

    def show(self, state: RunState) -> None:
        """Write how things are, where it is time."""
        if self._terminal:
            # A longer one would go on in the next row, and the next status leave it there.
            line = status_line(state.live)[: get_terminal_size().columns - 1]
            self._messages.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif state.live.real_s >= self._due_s:
            self._due_s = max(self._due_s + self._period_s, state.live.real_s)
            self._messages.write(status_line(state.live) + "\n")

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
