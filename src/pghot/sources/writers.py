"""Those who write accesses to a run's socket: let in, read, told what is wrong."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from pghot.driving.run_state import SourceCounts
from pghot.files.listening import listening, peer_of
from pghot.sources import access_form as form
from pghot.sources.access_form import Decoded, Records

MOST_WRITERS = 64
MOST_BYTES = 1 << 20
"""Bytes of one writer that are taken in at a time; then it waits, as others have their turn."""

_PIECE = 1 << 18
NO_RECORDS: Records = np.zeros(0, form.DTYPE)

Decode = Callable[[bytes, int, Sequence[int]], Decoded]


class AccessWriter:
    """One connection.  `pid` is of who opened it."""

    def __init__(self, client: socket.socket, pid: int) -> None:
        self.pid = pid
        self.client = client
        self.bad = 0
        """Records or lines that made no sense."""
        self.wrong = ""
        """The first of them, in words; also why it is to be closed."""
        self.over = False
        """Whether it has ended, or is to be closed."""
        self.held_back = False
        """Whether there was more than is taken in at a time."""
        self._left = b""
        self._taken = 0
        self._decode: Decode | None = None
        self._item = "record"
        self.told = False
        """Whether a person knows what was wrong."""

    def read(self, now_ns: int, nids: Sequence[int]) -> Records:
        """What it has written since, as far as it is whole; never waits."""
        self._left += self._receive()
        if self._decode is None:
            self._find_form()
        whole = self._left[: self._end_of_whole()]
        self._left = self._left[len(whole) :]
        if self._left and self.over:
            self._refuse(f"ended within an access, {len(self._left)} bytes into it")
        if self._decode is None or not whole:
            return NO_RECORDS
        found = self._decode(whole, now_ns, nids)
        if found.first is not None and not self.wrong:
            self.wrong = f"{self._item} {self._taken + found.first.at + 1}: {found.first.why}"
        self.bad += found.bad
        self._taken += found.items
        return found.records

    def close(self) -> None:
        """Close it, and say why where it has not ended by itself."""
        with contextlib.suppress(OSError):
            if self.wrong:
                self.client.send(f"pghot: {self.wrong}\n".encode())
        self.client.close()

    def _receive(self) -> bytes:
        pieces = []
        room = MOST_BYTES
        while room > 0 and not self.over:
            try:
                piece = self.client.recv(min(room, _PIECE))
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            self.over = not piece
            room -= len(piece)
            pieces.append(piece)
        self.held_back = room <= 0
        return b"".join(pieces)

    def _find_form(self) -> None:
        """Which form it is, by its first bytes, once there are enough."""
        if self._left.startswith(form.MAGIC):
            self._decode, self._item = form.from_bytes, "record"
            self._left = self._left[len(form.MAGIC) :]
        elif not form.MAGIC.startswith(self._left):
            self._decode, self._item = form.from_lines, "line"

    def _end_of_whole(self) -> int:
        """Bytes of the whole records or lines there are; what has no line's end is refused."""
        if self._decode is None:
            return 0
        if self._decode is form.from_bytes:
            return len(self._left) // form.RECORD * form.RECORD
        end = self._left.rfind(b"\n") + 1
        if len(self._left) - end > form.LONGEST_LINE:
            self._refuse(
                f"neither lines of up to {form.LONGEST_LINE} bytes nor "
                f"{form.MAGIC.decode()} and records"
            )
            self._left = self._left[:end]
            self.over = True
        return end

    def _refuse(self, why: str) -> None:
        self.bad += 1
        self.wrong = self.wrong or why


class Writers:
    """The socket at `path` and all who write to it; only we ourselves and root may.

    `tell` takes a line for a person, `counts` what made no sense (`corrupt`) and how often a
    writer had to wait (`throttled`).  InputError or PghotError, one line, where it cannot listen.
    """

    def __init__(self, path: Path, counts: SourceCounts, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._counts = counts
        self._stack = ExitStack()
        self._server = self._stack.enter_context(listening(path))
        self._server.setblocking(False)
        self._writers: list[AccessWriter] = []
        self.busy = False
        """Whether anything came at the last `read`."""

    @property
    def descriptors(self) -> list[int]:
        """The socket and its connections, for poll(2); none while they are busy anyway."""
        if self.busy:
            return []
        return [self._server.fileno(), *(writer.client.fileno() for writer in self._writers)]

    def read(self, now_ns: int, nids: Sequence[int]) -> Records:
        """What all have written since; never waits."""
        self.busy = False
        self._let_in()
        pieces = [writer.read(now_ns, nids) for writer in self._writers]
        self.busy |= any(map(len, pieces))
        for writer in self._writers:
            self._see_to(writer)
        self._writers = [writer for writer in self._writers if not writer.over]
        return np.concatenate(pieces) if pieces else NO_RECORDS

    def close(self) -> None:
        """Close the socket, which goes, and all connections: who writes on finds them broken."""
        for writer in self._writers:
            writer.close()
        self._writers = []
        self._stack.close()

    def _let_in(self) -> None:
        while True:
            try:
                client = self._server.accept()[0]
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor is left: poll(2) would not wait for one
                self.busy = True
                self._tell(f"external: a writer cannot be let in: {error.strerror}")
                return
            client.setblocking(False)
            pid, uid = peer_of(client)
            writer = AccessWriter(client, pid)
            if uid not in {0, os.geteuid()}:
                writer.wrong = f"is of user {uid}, not of {os.geteuid()}: turned away"
            elif len(self._writers) >= MOST_WRITERS:
                writer.wrong = f"turned away: {MOST_WRITERS} write already"
            if writer.wrong:
                self._say(writer)
                writer.close()
            else:
                self._writers.append(writer)

    def _see_to(self, writer: AccessWriter) -> None:
        """Count and tell what was wrong with it, and close it where it is over."""
        self._counts.corrupt += writer.bad
        writer.bad = 0
        if writer.wrong and not writer.told:
            writer.told = True
            self._say(writer)
        if writer.held_back:
            self._counts.throttled += 1
            self._tell("external: writers wait now and then: they write faster than is taken in")
        if writer.over:
            writer.close()

    def _say(self, writer: AccessWriter) -> None:
        self._tell(f"external: the writer with pid {writer.pid}: {writer.wrong}")
