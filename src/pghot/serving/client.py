"""The other end of the control socket: finding a run, asking it, watching it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pghot.errors import PghotError
from pghot.serving import protocol
from pghot.serving.sockets import connected, live_sockets, socket_of

if TYPE_CHECKING:
    from pghot.driving.run_state import RunState


class Client:
    """A connection to a run; PghotError with one line where there is none, or it ends.

    `greeting` says whose it is: `pid`, `command`, `version`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._socket = connected(path)
        except OSError as error:
            why = "no run listens there" if _nobody(error) else error.strerror or str(error)
            raise PghotError(f"{path}: {why}") from error
        self._lines = self._socket.makefile("rb")
        try:
            self.greeting = self._greeted()
        except PghotError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; who waits for a state gets none any more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._lines.close()
        self._socket.close()

    def get(self, names: Sequence[str] = ()) -> dict[str, int]:
        """Tunables and counters by name; all tunables where none is named."""
        values: dict[str, int] = self._ask({"do": "get", "names": list(names)})["values"]
        return values

    def set(self, name: str, text: str) -> None:
        """Write a tunable as `echo TEXT > FILE` would; ControlError where it is refused."""
        self._ask({"do": "set", "name": name, "value": text})

    def state(self) -> RunState:
        """The run's last state."""
        from pghot.driving.run_state import read_state  # noqa: PLC0415 - get and set do without

        return read_state(self._ask({"do": "state"})["state"])

    def watch(self) -> Iterator[RunState]:
        """A state a second, and one after each write, until the run is over.

        PghotError where it is none, or of another version.
        """
        from pghot.driving.run_state import read_state  # noqa: PLC0415 - get and set do without

        return map(read_state, self.watch_plain())

    def watch_plain(self) -> Iterator[dict[str, Any]]:
        """The same as they come, with whatever a newer run has in them."""
        self._send({"do": "watch"})
        while "state" in (answer := self._answer()):
            yield answer["state"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._send(request)
        return self._answer()

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._socket.sendall(protocol.line(request))
        except OSError as error:
            raise self._ended() from error

    def _answer(self) -> dict[str, Any]:
        return protocol.success(self._line())

    def _line(self) -> dict[str, Any]:
        try:
            raw = self._lines.readline()
        except (OSError, ValueError) as error:  # ValueError: another thread has hung up meanwhile
            raise self._ended() from error
        if not raw.endswith(b"\n"):
            raise self._ended()
        return protocol.parse(raw)

    def _greeted(self) -> dict[str, Any]:
        greeting = self._line()
        if "error" in greeting:
            protocol.success(greeting)
        version = greeting.get(protocol.GREETING)
        if version != protocol.VERSION:
            raise PghotError(
                f"{self._path}: speaks version {version} of the control protocol; "
                f"this pghot speaks {protocol.VERSION}"
            )
        return greeting

    def _ended(self) -> PghotError:
        return PghotError(f"{self._path}: the run has ended")


def find_run(directory: Path, *, pid: int | None = None, hint: str = "") -> Path:
    """The socket of the only run in a directory, or of the run with a pid.

    PghotError, one line, where there is none (`hint` ends it), or where there are several: it
    lists them.
    """
    if pid is not None:
        return socket_of(directory, pid)
    found = live_sockets(directory)
    if not found:
        raise PghotError(f"no pghot run listens in {directory}{hint}")
    if len(found) > 1:
        listed = ", ".join(map(_listed, found))
        raise PghotError(f"several runs, name one by --pid: {listed}")
    return found[0]


def _listed(path: Path) -> str:
    try:
        with Client(path) as client:
            return f"{client.greeting['pid']} ({client.greeting['command']})"
    except PghotError:
        return path.stem


def _nobody(error: OSError) -> bool:
    return isinstance(error, (FileNotFoundError, ConnectionRefusedError, NotADirectoryError))
