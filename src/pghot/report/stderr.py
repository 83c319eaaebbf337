"""Messages of a run: what does not get through is dropped and counted, and nobody waits for it."""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Callable
from typing import TextIO

PATIENCE_MS = 100
"""How long a message waits for a terminal or a pipe that takes nothing more."""


class Messages:
    """Writes to a stream, stderr where none is given; never raises.

    `missing` makes the text that says how many were dropped before one that gets through.
    """

    def __init__(self, stream: TextIO | None, missing: Callable[[int], str]) -> None:
        self._stream = stream or sys.stderr
        self._missing = missing
        self._untold = 0
        self._descriptor = _descriptor(self._stream)
        self.dropped = 0
        """Messages that did not get through."""

    @property
    def terminal(self) -> bool:
        """Whether a person reads it as it comes."""
        return self._stream is not None and self._stream.isatty()

    def write(self, text: str) -> bool:
        """Write a message; whether it got through."""
        prefix = self._missing(self._untold) if self._untold else ""
        try:
            self._put(prefix + text)
        except (OSError, ValueError):  # full, closed, or of a reader that has gone
            self.dropped += 1
            self._untold += 1
            return False
        self._untold = 0
        return True

    def _put(self, text: str) -> None:
        if self._stream is None:
            raise ValueError("closed before we began")
        if self._descriptor < 0:
            self._stream.write(text)
            self._stream.flush()
            return
        self._stream.flush()
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if _raw(self._descriptor):
            text = text.replace("\n", "\r\n")
        left = memoryview(text.encode(errors="backslashreplace"))
        while left:
            if not poll.poll(PATIENCE_MS):
                raise BlockingIOError("nobody reads it")
            left = left[os.write(self._descriptor, left) :]


def _raw(descriptor: int) -> bool:
    """Whether it is a terminal that makes no ends of lines: ours, while a command has its own."""
    try:
        return not termios.tcgetattr(descriptor)[1] & termios.OPOST
    except termios.error:
        return False


def _descriptor(stream: TextIO | None) -> int:
    """Descriptor of a stream; -1 where it has none."""
    try:
        return -1 if stream is None else stream.fileno()
    except (OSError, ValueError):
        return -1
