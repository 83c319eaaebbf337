"""A Redis server in the guest, spoken to over its socket (the RESP protocol), nothing else."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

PROGRAM = "redis-check-rdb"
"""Debian's redis-tools has the server in this program; its name says what it is to be."""

PACKAGE = "redis-tools"
PAGE = 4096
AT_ONCE = 250
ANSWER_S = 120
"""An answer that is too short is waited for so long."""


class Redis:
    """A connection to a server whose values are a page each."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path) -> None:
        self.process = process
        end = time.monotonic() + 300
        while True:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.connect(str(path))
            except OSError:
                self._socket.close()
                assert time.monotonic() < end, "the server does not listen"
                time.sleep(0.1)
            else:
                break
        self._socket.settimeout(ANSWER_S)

    def fill(self, keys: int) -> None:
        """Set keys 0 up to `keys`."""
        for some in _pieces(range(keys)):
            commands = [(b"SET", _key(key), value_of(key)) for key in some]
            self.ask(_packed(commands), b"+OK\r\n" * len(some))

    def peeks(self, keys: Sequence[int]) -> list[tuple[bytes, bytes]]:
        """Make requests that read the beginning of each value, with the answers due."""
        return [
            (
                _packed((b"GETRANGE", _key(key), b"0", b"13") for key in some),
                b"".join(b"$14\r\n%b\r\n" % value_of(key)[:14] for key in some),
            )
            for some in _pieces(keys)
        ]

    def compare(self, keys: int) -> bool:
        """Whether every value is what it was set to."""
        for some in _pieces(range(keys)):
            wanted = [value_of(key) for key in some]
            due = b"".join(b"$%d\r\n%b\r\n" % (len(value), value) for value in wanted)
            if not self.ask(_packed((b"GET", _key(key)) for key in some), due):
                return False
        return True

    def close(self) -> None:
        """Leave the server."""
        self._socket.close()

    def ask(self, request: bytes, due: bytes) -> bool:
        """Send a request; tell whether the answer is the one that is due."""
        self._socket.sendall(request)
        got = bytearray()
        while len(got) < len(due):
            piece = self._socket.recv(1 << 18)
            assert piece, "the server has closed the connection"
            got += piece
        return got == due

    def pages(self) -> dict[int, int]:
        """The page that each value begins in, of those that lie in memory once."""
        found: dict[int, list[int]] = {}
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        with Path(f"/proc/{self.process.pid}/mem").open("rb", buffering=0) as memory:
            for start, end in re.findall(r"^(\w+)-(\w+) rw\S+ \S+ \S+ 0 ", maps, re.MULTILINE):
                memory.seek(int(start, 16))
                data = memory.read(int(end, 16) - int(start, 16))
                for match in re.finditer(rb"<(\d{12})>", data or b""):
                    place = int(start, 16) + match.start()
                    found.setdefault(int(match[1]), []).append(place // PAGE * PAGE)
        return {key: places[0] for key, places in found.items() if len(places) == 1}


@contextlib.contextmanager
def serving(directory: Path, prefix: Sequence[str] = ()) -> Iterator[Redis]:
    """Run a server that keeps nothing on disk, and kill it at the end."""
    program = directory / "redis-server"  # by this name it is the server
    program.symlink_to(shutil.which(PROGRAM) or PROGRAM)
    path = directory / "socket"
    options = ("--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no")
    with subprocess.Popen([*prefix, str(program), *options], stdout=subprocess.DEVNULL) as process:
        try:
            with contextlib.closing(Redis(process, path)) as redis:
                yield redis
        finally:
            process.kill()


def value_of(key: int) -> bytes:
    """Make a value that takes a page of the server's."""
    return b"<%012d>" % key + b"%04d" % (key % 10_000) * 990


def addresses(pages: Iterable[int]) -> npt.NDArray[np.uint64]:
    """Give pages as an array."""
    return np.array(sorted(set(pages)), np.uint64)


def _key(key: int) -> bytes:
    return b"key:%d" % key


def _pieces(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(keys), AT_ONCE):
        yield keys[start : start + AT_ONCE]


def _packed(commands: Iterable[Sequence[bytes]]) -> bytes:
    return b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        for words in commands
    )
