"""Writers of accesses for tests: both forms, and sockets to write them to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pghot.sources.access_form import DTYPE, MAGIC
from tests.linux.host_trees import write
from tests.live.world import PAGE, World

CONNECTED: list[socket.socket] = []


def binary(*accesses: dict) -> bytes:
    """Records of the binary form, without what it begins with."""
    records = np.zeros(len(accesses), DTYPE)
    for record, access in zip(records, accesses, strict=True):
        for name, value in ({"nr": 1, "pages": 1, "nid": -1} | access).items():
            record[name] = value
    return records.tobytes()


def connect(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    CONNECTED.append(client)
    client.connect(str(path))
    return client


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Keep connections open until the end of the test, and no longer."""
    yield
    while CONNECTED:
        CONNECTED.pop().close()


def send(path: Path, content: bytes) -> socket.socket:
    """Connect and write; the connection, still open."""
    client = connect(path)
    client.sendall(content)
    return client


def send_binary(path: Path, *accesses: dict) -> socket.socket:
    return send(path, MAGIC + binary(*accesses))


def write_maps(world: World, pid: int = 40) -> None:
    """Make /proc/PID/maps of what a process has: one mapping from its first page to its last."""
    table = world.tables[pid]
    start, end = min(table), max(page + mapping.pages for page, mapping in table.items())
    line = f"{start * PAGE:x}-{end * PAGE:x} rw-p 00000000 00:00 0"
    guard = "7f0000000000-7fff00000000 ---p 00000000 00:00 0"
    kernels = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]"
    write(world.root, f"/proc/{pid}/maps", f"{line}\n{guard}\n{kernels}")
