"""A terminal of its own for a command, relayed to ours.

A process can type into its controlling terminal (TIOCSTI of ioctl_tty(2)), so a command that
runs as another user must not have that of root's shell.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pghot.workers import Tell, Worker

STANDARD = (0, 1, 2)
_PIECE = 1 << 14
_LOOK_MS = 100
_END_S = 2.0
"""How long the last output may take at the end, where others hold the terminal open."""


class Terminal:
    """A pseudo-terminal (pty(7)); made before the fork, `take` in the child, then `relay`.

    Those of the child's standard streams that are terminals become it; others stay.
    """

    def __init__(self, uid: int = -1) -> None:
        """Make one with our terminal's modes and size, of the user `uid`."""
        self._ours = _our_terminal()
        self._streams = [number for number in STANDARD if os.isatty(number)]
        self._master, self._slave = os.openpty()
        with suppress(OSError):  # whose it is matters only to who opens it by its name
            os.fchown(self._slave, uid, -1)
        with suppress(termios.error):
            termios.tcsetattr(self._slave, termios.TCSANOW, termios.tcgetattr(self._ours))
        self._resize()
        self._before: list[Any] | None = None
        self._raw = False
        self._ending = threading.Event()
        self._worker: Worker | None = None
        self._handler: Any = None

    def take(self) -> None:
        """In the child, leader of a session: make it the session's, and the streams'."""
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)
        for number in self._streams:
            os.dup2(self._slave, number)

    def relay(self, tell: Tell) -> None:
        """Pass on what is typed and what is shown, and sizes, until `close`."""
        os.close(self._slave)
        self._slave = -1
        with suppress(termios.error):
            self._before = termios.tcgetattr(self._ours)
        if threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGWINCH, self._resized)
        self._worker = Worker("the command's terminal", self._pass_on, tell)
        self._worker.start()

    def close(self) -> None:
        """Show what was still to be shown, and have our terminal as it was; again does nothing."""
        self._ending.set()
        if self._worker is not None:
            self._worker.end(_END_S)
            self._worker = None
        if self._handler is not None:
            signal.signal(signal.SIGWINCH, self._handler)
            self._handler = None
        self._cook()
        for descriptor in (self._master, self._slave, self._ours):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = self._ours = -1

    def _pass_on(self) -> None:
        """Go on until the last who has the terminal has closed it, or the end."""
        typed = b""
        while True:
            poll = select.poll()
            poll.register(self._master, select.POLLIN | (select.POLLOUT if typed else 0))
            if self._foreground() and not typed and not self._ending.is_set():
                self._make_raw()
                poll.register(self._ours, select.POLLIN)
            ready = dict(poll.poll(_LOOK_MS))
            if ready.get(self._ours, 0) & select.POLLIN:
                typed = os.read(self._ours, _PIECE)
            if typed and ready.get(self._master, 0) & select.POLLOUT:
                typed = typed[os.write(self._master, typed) :]
            if ready.get(self._master, 0) & (select.POLLIN | select.POLLHUP):
                if not self._show():
                    return
            elif self._ending.is_set():
                return

    def _show(self) -> bool:
        """Show what the command wrote; whether there can be more."""
        try:
            shown = os.read(self._master, _PIECE)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False  # nobody has it open any more
        while shown:
            shown = shown[os.write(self._ours, shown) :]
        return True

    def _foreground(self) -> bool:
        """Whether what is typed is for us; else reading would stop us (SIGTTIN)."""
        try:
            return os.tcgetpgrp(self._ours) == os.getpgrp()
        except OSError:  # a terminal, but not our session's
            return True

    def _make_raw(self) -> None:
        """Let keys reach the command as they are typed: its own terminal makes signals of them."""
        if not self._raw and self._before is not None:
            with _unstopped():
                tty.setraw(self._ours, termios.TCSADRAIN)
            self._raw = True

    def _cook(self) -> None:
        if self._raw and self._before is not None:
            with _unstopped(), suppress(termios.error):
                termios.tcsetattr(self._ours, termios.TCSADRAIN, self._before)
            self._raw = False

    def _resized(self, number: int, frame: FrameType | None) -> None:
        self._resize()
        if callable(self._handler):
            self._handler(number, frame)

    def _resize(self) -> None:
        with suppress(OSError):
            size = fcntl.ioctl(self._ours, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)


def terminal_here() -> bool:
    """Whether one of our standard streams is a terminal."""
    return any(map(os.isatty, STANDARD))


def _our_terminal() -> int:
    """Descriptor of our own terminal."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(next(number for number in STANDARD if os.isatty(number)))


@contextmanager
def _unstopped() -> Iterator[None]:
    """Set a terminal's modes though we may be in the background by now."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
