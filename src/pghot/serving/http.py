"""A page over HTTP, from one thread; no client can hold up the run.

Any user of the machine may connect to a port of the loopback.  There are `MOST` connections
at a time, the one that has waited longest makes room for a new one, and each has `PATIENCE_S`
to say what it wants and to take it (RFC 9112; one request a connection).
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from pghot.workers import Tell, Worker

MOST = 16
PATIENCE_S = 5.0
LONGEST = 8192
"""Bytes of a request at the most."""

_LOOK_S = 0.2
_REST_S = 1.0
"""Seconds without accept(2) where the system has no descriptor or no memory left."""

_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PIECE = 1 << 16
_END = b"\r\n\r\n"


class Answer(NamedTuple):
    """What is sent."""

    status: str
    kind: str
    body: bytes


Page = Callable[[str, Mapping[str, str]], Answer]
"""Makes the answer to a GET, of its target and header fields (names in lower case)."""


class _Connection:
    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.since = time.monotonic()
        self.asked = b""
        self.answer: memoryview | None = None


class PageServer:
    """Serves a page at a socket that listens, from `start` to `close`."""

    def __init__(self, server: socket.socket, page: Page, name: str, tell: Tell) -> None:
        self._server = server
        self._page = page
        self._tell = tell
        self._closing = False
        self._rests_until = 0.0
        self._told_scarce = False
        self._connections: dict[socket.socket, _Connection] = {}
        self._worker = Worker(name, self._serve, tell)
        server.setblocking(False)

    def start(self) -> None:
        """Begin to serve."""
        self._worker.start()

    def close(self) -> None:
        """Stop serving."""
        self._closing = True
        self._worker.end(10 * _LOOK_S)
        self._server.close()

    @property
    def port(self) -> int:
        """The port that it listens at."""
        number: int = self._server.getsockname()[1]
        return number

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._connections)

    def _serve(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                listens = False
                while not self._closing:
                    listens = self._listen(selector, listens=listens)
                    for key, _events in selector.select(_LOOK_S):
                        if key.data is None:
                            self._accept(selector)
                        else:
                            self._go_on(selector, key.data)
                    self._expire(selector)
        finally:
            for connection in self._connections.values():
                connection.socket.close()
            self._connections.clear()

    def _listen(self, selector: selectors.BaseSelector, *, listens: bool) -> bool:
        """Let others in, or not while descriptors are scarce; whether they are."""
        wanted = time.monotonic() >= self._rests_until
        if wanted and not listens:
            selector.register(self._server, selectors.EVENT_READ)
        elif listens and not wanted:
            selector.unregister(self._server)
        return wanted

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            client, _address = self._server.accept()
        except OSError as error:
            if error.errno in _SCARCE:
                self._rests_until = time.monotonic() + _REST_S
                if not self._told_scarce:
                    self._told_scarce = True
                    self._tell(
                        f"{self._worker.name}: {error.strerror}; nobody is let in meanwhile"
                    )
            return
        while len(self._connections) >= MOST:
            oldest = min(self._connections.values(), key=lambda one: one.since)
            self._drop(selector, oldest)
        client.setblocking(False)
        connection = self._connections[client] = _Connection(client)
        selector.register(client, selectors.EVENT_READ, connection)
        self._go_on(selector, connection)  # who has something to say says it at once

    def _go_on(self, selector: selectors.BaseSelector, connection: _Connection) -> None:
        if connection.socket not in self._connections:  # dropped since it was found ready
            return
        try:
            if connection.answer is None:
                self._hear(connection)
            if connection.answer is not None:
                sent = connection.socket.send(connection.answer[:_PIECE])
                connection.answer = connection.answer[sent:]
                if not connection.answer:
                    connection.socket.shutdown(socket.SHUT_WR)
                    self._drop(selector, connection)
                else:
                    selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(selector, connection)

    def _hear(self, connection: _Connection) -> None:
        """Take in what is asked; the answer is there once it is whole."""
        piece = connection.socket.recv(LONGEST)
        connection.asked += piece
        head, whole, _body = connection.asked.partition(_END)
        if whole:
            connection.answer = memoryview(_message(self._answer(head)))
        elif not piece:
            raise ConnectionResetError
        elif len(connection.asked) > LONGEST:
            connection.answer = memoryview(
                _message(_refusal("431 Request Header Fields Too Large"))
            )

    def _answer(self, head: bytes) -> Answer:
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _refusal("400 Bad Request")
        if words[0] != "GET":
            return _refusal("405 Method Not Allowed")
        fields = {}
        for line in lines:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        return self._page(words[1], fields)

    def _expire(self, selector: selectors.BaseSelector) -> None:
        before = time.monotonic() - PATIENCE_S
        for connection in [one for one in self._connections.values() if one.since < before]:
            self._drop(selector, connection)

    def _drop(self, selector: selectors.BaseSelector, connection: _Connection) -> None:
        del self._connections[connection.socket]
        selector.unregister(connection.socket)
        connection.socket.close()


def _refusal(status: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{status}\n".encode())


def _message(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body
