"""`pghot` in the guest, as a user starts it, with what it says in files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PGHOT = str(Path(sys.executable).parent / "pghot")
ENDING_S = 60
"""What a command gets to end in good order."""

_SHELL = 'out=$1 err=$2; shift 2; exec "$@" >"$out" 2>"$err"'
"""Opens the files in the child: a FIFO is open only when somebody reads it."""


class Command:
    """A running `pghot WORDS`; `out` and `err` are files or FIFOs for what it writes."""

    def __init__(
        self, words: Sequence[str], out: Path, err: Path, environment: Mapping[str, str]
    ) -> None:
        for path in (out, err):
            path.touch()  # there at once, for whoever looks
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", str(out), str(err), PGHOT, *words],
            stdin=subprocess.DEVNULL,
            env=os.environ | environment,
        )
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Give its exit status, a signal's number below 0, None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give its exit status."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"pghot still runs after {timeout:.0f} s") from None

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def end(self) -> None:
        """End it, if it still runs: in good order if it can, so that it puts settings back."""
        self.send_signal(signal.SIGTERM)
        try:
            self._process.wait(ENDING_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.wait()

    def kill(self) -> None:
        """End it at once, if it still runs."""
        self.send_signal(signal.SIGKILL)


@contextmanager
def running(
    words: Sequence[str], out: Path, err: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Command]:
    """Start a command, and end it at the end if it still runs."""
    command = Command(words, out, err, environment or {})
    try:
        yield command
    finally:
        command.end()
