"""What a service manager is told of a run: ready, how it goes, alive, reloading, stopping.

The protocol is sd_notify(3): lines in one datagram to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from functools import partial

from pghot.driving.run_state import HostFigures, RunState
from pghot.engine.units import PAGE_SHIFT
from pghot.live.mailbox import Mailbox
from pghot.workers import Tell, Worker, nobody

_LOOK_S = 1.0


class Notifier:
    """Sends to the service manager that started us, if any."""

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        """Take the manager's variables out of `environ`: a command that we start is not us."""
        environ = os.environ if environ is None else environ
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        self.watched = _watched(environ)
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(_LOOK_S)

    def __del__(self) -> None:
        self._socket.close()

    @property
    def listens(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        """READY=1: the run goes on, for the first time or after a reload."""
        self._send("READY=1", *([f"STATUS={status}"] if status else []))

    def status(self, line: str) -> None:
        """STATUS=, and WATCHDOG=1 where the manager asks for it."""
        self._send(f"STATUS={line}", *(["WATCHDOG=1"] if self.watched else []))

    def reloading(self) -> None:
        """RELOADING=1: the configuration is read again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """STOPPING=1: the run ends."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        """Send; a manager that has gone or does not read is no reason to fail."""
        if not self._address:
            return
        text = "\n".join(" ".join(line.split("\n")) for line in lines)
        with self._lock, suppress(OSError):
            self._socket.sendto(text.encode(), self._address)


@contextmanager
def announced(
    mailbox: Mailbox[RunState], notifier: Notifier, tell: Tell = nobody
) -> Iterator[None]:
    """Notify the manager of a run as long as this lasts, by the states at its mailbox.

    A state comes each second from the run's own thread: while one comes, the run is alive.
    """
    if not notifier.listens:
        yield
        return
    over = threading.Event()
    worker = Worker("notify", partial(_announce, mailbox, notifier, over.is_set), tell)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.end(2 * _LOOK_S)


def status_text(live: HostFigures) -> str:
    """How a run stands in one line."""
    size = live.promoted_pages << PAGE_SHIFT
    return (
        f"{live.real_s:.0f} s: {live.found_hot:,} folios found hot, "
        f"{live.promoted_pages:,} pages promoted ({size / (1 << 20):,.1f} MiB)"
    )


def _announce(mailbox: Mailbox[RunState], notifier: Notifier, over: Callable[[], bool]) -> None:
    number, ready = 0, False
    while not (over() or mailbox.closed):
        came = mailbox.next_state(number, _LOOK_S)
        if came is None:
            continue
        number, state = came
        if state.live.ended:
            break
        if not ready:
            notifier.ready()
            ready = True
        notifier.status(status_text(state.live))
    notifier.stopping()


def _address(name: str) -> str:
    """The socket's address; a leading @ is the abstract name space."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""


def _watched(environ: MutableMapping[str, str]) -> bool:
    """Whether the manager wants signs of life from this process (sd_watchdog_enabled(3))."""
    microseconds = environ.pop("WATCHDOG_USEC", "")
    pid = environ.pop("WATCHDOG_PID", "")
    return microseconds.isdecimal() and int(microseconds) > 0 and pid in {"", str(os.getpid())}
