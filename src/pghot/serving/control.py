"""The control socket of a run: reads, writes and states for its owner."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pghot.driving.run_state import RunState
from pghot.engine.did_you_mean import perhaps
from pghot.engine.tunables import TUNABLES
from pghot.engine.vmstat import ORDER
from pghot.errors import Caution, InputError, PghotError
from pghot.files.listening import listening, peer_of
from pghot.live.mailbox import Mailbox
from pghot.serving import protocol
from pghot.workers import Tell, Worker, nobody

MOST_CLIENTS = 32
FIRST_S = 60.0
"""How long a request waits for a run's first state: its loops may have to be compiled."""

_LOOK_S = 0.5
_SEND_S = 10.0
"""How long a client may leave what it is sent."""

_LINGER_S = 1.0
"""How long clients have at the end to take what is theirs."""


@contextmanager
def control(
    mailbox: Mailbox[RunState], path: Path, about: dict[str, Any], tell: Tell = nobody
) -> Iterator[None]:
    """Serve a mailbox at `path` until the end; `about` goes into the greeting.

    Errors are those of `sockets.listening`, before anything is served; `tell` hears what goes
    wrong meanwhile.
    """
    with listening(path) as server:
        serving = _Server(mailbox, server, about, tell)
        try:
            yield
        finally:
            serving.close()


class _Server:
    def __init__(
        self, mailbox: Mailbox[RunState], server: socket.socket, about: dict[str, Any], tell: Tell
    ) -> None:
        self._mailbox = mailbox
        self._owner = os.geteuid()
        self._socket = server
        self._greeting = {protocol.GREETING: protocol.VERSION} | about
        self._clients: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._tell = tell
        self._accepting = Worker("control", self._accept, tell)
        self._accepting.start()

    def close(self) -> None:
        """Accept no client any more; close the others once their answers are sent."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.end(_LINGER_S)
        until = time.monotonic() + _LINGER_S
        with self._lock:
            clients = dict(self._clients)
        for client in clients.values():
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RD)
        for thread in clients:
            thread.join(max(until - time.monotonic(), 0))

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _address = self._socket.accept()
            except OSError:
                time.sleep(0.1)  # out of descriptors, perhaps; or closing
                continue
            self._take(client)

    def _take(self, client: socket.socket) -> None:
        """Serve a client in a thread of its own, or hang up where there is none left."""
        thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
        with self._lock:
            self._clients[thread] = client
        try:
            thread.start()
        except RuntimeError as error:
            with self._lock:
                del self._clients[thread]
            client.close()
            self._tell(Caution(f"control: {error}; a client was turned away"))

    def _serve(self, client: socket.socket) -> None:
        try:
            self._talk(client)
        except Exception as error:  # noqa: BLE001 - a mistake of ours; it costs one client
            self._tell(Caution(f"control: {type(error).__name__}: {error}; a client was lost"))
        finally:
            with self._lock:
                del self._clients[threading.current_thread()]

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as requests:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(_SEND_S))
            why_not = self._why_not(client)
            if why_not:
                client.sendall(protocol.line(protocol.failure(PghotError(why_not))))
                return
            client.sendall(protocol.line(self._greeting))
            while raw := requests.readline(protocol.LONGEST):
                for answer in self._answers(raw):
                    client.sendall(protocol.line(answer))
                while raw and not raw.endswith(b"\n"):  # the rest of a longer line
                    raw = requests.readline(protocol.LONGEST)

    def _why_not(self, client: socket.socket) -> str:
        """Why a client is not served; empty where it is."""
        _pid, uid = peer_of(client)
        if uid not in {0, self._owner}:
            return "this run is of another user"
        if len(self._clients) > MOST_CLIENTS:
            return f"{MOST_CLIENTS} others are connected already"
        return ""

    def _answers(self, raw: bytes) -> Iterator[dict[str, Any]]:
        try:
            if not raw.endswith(b"\n"):
                raise InputError(f"not a whole line of up to {protocol.LONGEST} bytes")
            request = protocol.parse(raw)
            if request.get("do") == "watch":
                yield from self._watch()
            else:
                yield {"ok": self._do(request)}
        except (PghotError, ValueError) as error:
            yield protocol.failure(error)

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        verbs: dict[Any, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "get": self._get,
            "set": self._set,
            "state": lambda _: {"state": self._state().to_dict()},
        }
        verb = request.get("do")
        if not isinstance(verb, str) or verb not in verbs:
            known = ", ".join([*verbs, "watch"])
            raise InputError(f"no such request: {verb!r:.40}; there are {known}")
        return verbs[verb](request)

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        """Values by name: tunables and counters; all tunables where none is named."""
        names = request.get("names", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError("get: wants names, a list of texts")
        state = self._state()
        known = state.vmstat | state.tunables
        for name in names:
            if name not in known:
                there = ", ".join([*TUNABLES, *ORDER])
                near = perhaps(name[:40], known)
                raise InputError(
                    f"{name:.40}: no such tunable or counter; {near}there are {there}"
                )
        return {"values": {name: known[name] for name in names or state.tunables}}

    def _set(self, request: dict[str, Any]) -> dict[str, Any]:
        name, value = request.get("name"), request.get("value")
        if not isinstance(name, str) or not isinstance(value, str):
            raise InputError("set: wants name and value, both texts")
        self._state()  # there is a run by then
        self._mailbox.write(name, value)
        return {"values": {name: self._state().tunables[name]}}

    def _watch(self) -> Iterator[dict[str, Any]]:
        self._state()  # there is one by then
        number, going_on = 0, True
        while going_on:
            came = self._mailbox.next_state(number, _LOOK_S)
            if came is not None:
                number, state = came
                yield {"ok": {"state": state.to_dict()}}
            else:
                going_on = not (self._mailbox.closed or self._closing)
        yield {"ok": {"over": True}}

    def _state(self) -> RunState:
        """The last state, or the first once there is one."""
        self._mailbox.next_state(0, FIRST_S)
        state = self._mailbox.state()
        if state is None:
            raise PghotError("the run has not begun")
        return state


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
