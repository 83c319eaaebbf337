"""`pghot` in the guest, as a fork of a process that has loaded it all.

Emulated, Python, Numba and the kept machine code take 40 s a start.  What comes after that is
what a user runs: the command's own `main`, in a process of its own with its arguments,
environment, streams and signals.  One test on every kernel starts the command itself.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pghot.cli import main

ENDING_S = 60
"""What a command gets to end in good order."""

_CONTEXT = multiprocessing.get_context("forkserver")
_PRELOAD = "tests.vm.preload"
_CONTEXT.set_forkserver_preload([_PRELOAD])


class Command:
    """A running `pghot WORDS`; `out` and `err` are files or FIFOs for what it writes."""

    def __init__(
        self, words: Sequence[str], out: Path, err: Path, environment: Mapping[str, str]
    ) -> None:
        for path in (out, err):
            path.touch()  # there at once, for whoever looks
        arguments = (list(words), str(out), str(err), dict(environment))
        self._process = _CONTEXT.Process(target=_serve, args=arguments)
        self._process.start()
        self.pid: int = self._process.pid or 0

    def poll(self) -> int | None:
        """Give its exit status, a signal's number below 0, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give its exit status."""
        self._process.join(timeout)
        status = self.poll()
        assert status is not None, f"pghot still runs after {timeout:.0f} s"
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self) -> None:
        """End it, if it still runs: in good order if it can, so that it puts settings back."""
        self.send_signal(signal.SIGTERM)
        self._process.join(ENDING_S)
        self.kill()
        self.wait()

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


def _serve(words: list[str], out: str, err: str, environment: dict[str, str]) -> None:
    for path, descriptor in ((out, 1), (err, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    if _PRELOAD not in sys.modules:  # the server hides that it could not import it
        importlib.import_module(_PRELOAD)
    os.environ.update(environment)
    sys.argv[1:] = words
    sys.exit(main(words))
