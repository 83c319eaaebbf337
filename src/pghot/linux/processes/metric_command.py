"""A command that measures the workload: it prints numbers, one a line (`--metric-command`).

It runs in sh as the user who called sudo, without a terminal, and is read without waiting: the
caller's loop has other things to do.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import NamedTuple

from pghot.linux.processes.launch import Launched

LINE = 4096
"""Bytes that a line may have."""

SHOWN = 60
"""Characters of a line that is no number in a message."""

_AT_ONCE = 1 << 16
_READS = 16
"""Bytes of a read, and reads in one go: who prints more waits in its pipe."""


class Numbers(NamedTuple):
    """What a command printed: how many numbers, their mean; or why it gave none that counts."""

    how_many: int
    mean: float
    why: str = ""


class MetricCommand:
    """The command, run once: `start` it, `read` now and then, and `end` it."""

    def __init__(self, command: str, environ: Mapping[str, str] | None = None) -> None:
        """`command` is for sh; `environ` is our own where not given."""
        self._command = command
        self._environ = environ
        self._launched: Launched | None = None
        self._reading = -1
        self._begun = b""
        self._count = 0
        self._sum = 0.0
        self._why = ""

    def start(self) -> None:
        """Start it; OSError where no process can be had."""
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        try:
            self._launched = Launched(
                ("/bin/sh", "-c", self._command), self._environ, output=writing
            )
            self._launched.start()
        finally:
            os.close(writing)

    def read(self) -> None:
        """Take what it has printed since the last time."""
        for _ in range(_READS):
            try:
                data = os.read(self._reading, _AT_ONCE) if self._reading >= 0 else b""
            except BlockingIOError:
                return
            if not data:
                return
            self._take_lines(data)

    def _take_lines(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._begun) > LINE:
            self._fail(f"a line of over {LINE} bytes: wants one number a line")
            self._begun = b""

    def end(self) -> Numbers:
        """Read what is left, kill it if it still runs, and say what came of it.

        A command that runs on until its time is up is well, if it has printed a number by then.
        """
        launched = self._launched
        if launched is None or self._reading < 0:
            return Numbers(0, 0.0, "it is not running")
        self.read()
        status = launched.poll()
        if status is not None and self._begun:
            self._take(self._begun)  # a last line without an end
        self.close()
        if status:
            self._fail(f"exit status {status}")
        if not self._count:
            self._fail("no number by the end of the block" if status is None else "no number")
        return Numbers(self._count, self._sum / max(self._count, 1), self._why)

    @property
    def gone(self) -> bool:
        """Whether nothing is left of it to wait for."""
        return self._launched is None or self._launched.poll() is not None

    def close(self) -> None:
        """Kill it if it runs, and wait for nothing; again does nothing."""
        if self._launched is not None:
            self._launched.kill()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace").strip()
        if not text:
            return
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or "_" in text:
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            self._fail(f"it printed {shown!r}: wants one number a line")
            return
        self._count += 1
        self._sum += number

    def _fail(self, why: str) -> None:
        """Keep the first reason."""
        self._why = self._why or why
