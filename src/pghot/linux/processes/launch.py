"""Starting the command of `pghot run -- COMMAND`, held back until the sources are open.

The child is forked here rather than by subprocess, which comes back only when the command
already runs: it has to wait in between, and to be the very process that becomes the command.
Until exec it makes system calls and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import signal
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, Self

from pghot.errors import PghotError
from pghot.linux.processes.privileges import die_with_parent, no_new_privileges
from pghot.linux.processes.raise_nofile import lower_limit
from pghot.linux.processes.sudo_user import SudoUser, sudo_account
from pghot.linux.processes.terminal import Terminal, terminal_here
from pghot.workers import Tell, nobody

NOT_FOUND = 127
NOT_EXECUTABLE = 126
_GO = b"\n"
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_OF_KEYS = (signal.SIGINT, signal.SIGQUIT)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class CommandError(PghotError):
    """The command cannot be started; the status is the one that a shell gives."""

    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


class Launched:
    """A command: found, forked by `fork`, let go by `start`, over when `poll` or `wait` say so.

    A fork inherits how soon NUMA balancing first looks at it (`scan_delay_ms`, sched_fork()),
    so a setting that is to hold for the command is made before `fork`.

    It leads a session of its own, in a terminal of its own where we have one, so that it
    cannot type into ours; signals are passed on by `forward`.  As a context manager: one that
    was never started is ended.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str] | None = None,
        *,
        new_privileges: bool = False,
        output: int = -1,
    ) -> None:
        """Find the program; CommandError where there is none.

        Under sudo it runs as the user who called sudo (see `account`).  `environ` is our own
        where not given.  It gains no rights by what it executes unless `new_privileges`.
        With `output`, a descriptor, it writes there, has nothing to read and no terminal, and
        is killed when we die.
        """
        self._argv = argv
        self._account, self._environment = sudo_account(os.environ if environ is None else environ)
        find_program(argv[0], self._environment.get("PATH", os.defpath))
        self.status: int | None = None
        self.pid = 0
        """The command's process; 0 before `fork`."""
        self._gate = -1
        self._new_privileges = new_privileges
        self._output = output
        self._terminal: Terminal | None = None
        self._tell: Tell = nobody

    def hear(self, tell: Tell) -> None:
        """Have `tell` told what goes wrong with its terminal."""
        self._tell = tell

    def fork(self) -> None:
        """Make its process, which waits until `start`; again does nothing."""
        if self.pid:
            return
        gate = os.pipe()
        try:
            if self._output < 0 and terminal_here():
                self._terminal = Terminal(self._account.uid if self._account else -1)
            start = _Start(
                self._argv,
                self._environment,
                self._account,
                self._terminal,
                self._new_privileges,
                self._output,
            )
            self.pid = _fork(start, gate)
        except OSError:
            os.close(gate[1])
            self._close_terminal()
            raise
        finally:
            os.close(gate[0])
        self._gate = gate[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        if self.poll() is not None or not self.pid:
            self._close_terminal()

    def start(self) -> None:
        """Let the command go, forked or not; again does nothing."""
        self.fork()
        if self._gate >= 0:
            if self._terminal is not None:
                self._terminal.relay(self._tell)
            with contextlib.suppress(BrokenPipeError):  # killed while it waited
                os.write(self._gate, _GO)
            os.close(self._gate)
            self._gate = -1

    def cancel(self) -> None:
        """End a child that was never started, and take its status; else do nothing."""
        if self._gate >= 0:
            os.close(self._gate)
            self._gate = -1
            self.wait()

    def poll(self) -> int | None:
        """The exit status, 128 + N for one ended by signal N; None while it runs."""
        if self.status is None and self.pid:
            self._reap(os.WNOHANG)
        return self.status

    def wait(self) -> int:
        """Wait for the end of what was forked and give the exit status."""
        while self.status is None:
            self._reap(0)
        self._close_terminal()
        return self.status

    def forward(self, number: int) -> None:
        """Send it a signal that we were sent; nothing once it has ended.

        What keys make reaches all of its process group, as a terminal has it.
        """
        if not self.pid or self.poll() is not None:
            return
        # Until it is waited for, the pid is nobody else's.
        with contextlib.suppress(PermissionError):
            if number in _OF_KEYS:
                with contextlib.suppress(ProcessLookupError):  # it leads no group yet
                    os.killpg(self.pid, number)
                    return
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and what it has started, but for what has left its session.

        Its end may take a while (a read from a slow disk): `poll` takes its status.
        """
        if not self.pid or self.status is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, signal.SIGKILL)  # where it leads no group yet
        self.poll()

    def _close_terminal(self) -> None:
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    def _reap(self, options: int) -> None:
        pid, raw = os.waitpid(self.pid, options)
        if pid:
            code = os.waitstatus_to_exitcode(raw)
            self.status = code if code >= 0 else 128 - code


def find_program(name: str, path: str) -> str:
    """The file that a name stands for, as a shell finds it; CommandError where none."""
    found = shutil.which(name, path=path)
    if found is not None:
        return found
    places = [""] if "/" in name else path.split(os.pathsep)
    for place in places:
        if name and Path(place, name).exists():
            raise CommandError(f"{name}: not an executable file", NOT_EXECUTABLE)
    raise CommandError(f"{name}: command not found", NOT_FOUND)


class _Start(NamedTuple):
    """How a command starts."""

    argv: Sequence[str]
    environment: dict[str, str]
    account: SudoUser | None
    terminal: Terminal | None
    new_privileges: bool
    output: int


def _fork(start: _Start, gate: tuple[int, int]) -> int:
    """Fork the child that waits at `gate`; no signal gets in before it has left our handlers."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        with warnings.catch_warnings():
            # Python 3.12 warns where there are threads.  The child needs no lock of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _child(start, gate, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _child(start: _Start, gate: tuple[int, int], mask: set[int]) -> NoReturn:
    """Wait, become the user, then the command; never come back into our own program."""
    status = 1
    try:
        gc.disable()
        os.setsid()
        if start.terminal is not None:
            start.terminal.take()
        _default_signals(mask)
        os.close(gate[1])  # or the end of our parent would not be seen
        if os.read(gate[0], 1):
            lower_limit()
            if start.output >= 0:
                _redirect(start.output)
            if start.account is not None:
                start.account.become()
            if start.output >= 0:
                die_with_parent()  # only now: a change of user takes it back
            if not start.new_privileges:
                no_new_privileges()
            _execute(start.argv, start.environment)
    except OSError as error:
        missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        os.write(2, f"pghot: {start.argv[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(status)


def _redirect(output: int) -> None:
    """Have nothing to read, and write to a descriptor."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)


def _default_signals(mask: set[int]) -> None:
    """Restore signals that we handle or Python ignores; those the caller ignores (nohup) stay."""
    for number in _HANDLED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _execute(argv: Sequence[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execvpe(argv[0], list(argv), environment)  # noqa: S606 - what was asked for
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without "#!": execvp(3) and every shell hand it to sh.
    script = find_program(argv[0], environment.get("PATH", os.defpath))
    os.execve("/bin/sh", ["sh", script, *argv[1:]], environment)  # noqa: S606 - as execvp(3)
