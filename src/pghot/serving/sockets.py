"""Where runs listen, those that dead runs left among them, and connecting to one."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from pathlib import Path

from pghot.errors import PghotError
from pghot.files.directory import UntrustedError, open_directory
from pghot.files.listening import stale

_OURS = re.compile(r"([0-9]+)\.sock")


def socket_of(directory: Path, pid: int) -> Path:
    """Where the run with this pid listens."""
    return directory / f"{pid}.sock"


def private_directory(path: Path) -> Path:
    """Make a directory that only we can enter; PghotError where it is another's or open."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            open_directory(path).close()  # as root: nobody else's on the way to it
    except OSError as error:
        raise PghotError(f"{path}: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PghotError(f"{path}: is not a directory of ours")
    if found.st_mode & 0o077:
        raise PghotError(f"{path}: others may enter it; chmod 700 {path}, or --no-control")
    return path


def live_sockets(directory: Path) -> list[Path]:
    """The sockets of runs in a directory, by pid; sockets without a listener are removed."""
    try:
        with open_directory(directory) as held:
            found = sorted(
                (int(match[1]), name) for name in held.names() if (match := _OURS.fullmatch(name))
            )
            return [directory / name for _pid, name in found if not stale(held, name)]
    except (OSError, UntrustedError):
        return []


def connected(path: Path) -> socket.socket:
    """Connect to `path`; OSError without a listener or permission."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(os.fsencode(path))
    except OSError:
        client.close()
        raise
    return client
