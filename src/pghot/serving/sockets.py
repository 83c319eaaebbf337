"""Unix sockets that only their owner can open, and those that dead runs left."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pghot.errors import InputError, PghotError

_OURS = re.compile(r"([0-9]+)\.sock")
_WAITING = 16
_LONGEST = 107
"""Bytes of a socket's path: sun_path of unix(7), but for the last."""


def socket_of(directory: Path, pid: int) -> Path:
    """Give where the run with this pid listens."""
    return directory / f"{pid}.sock"


def private_directory(path: Path) -> Path:
    """Make a directory that only we can enter; PghotError where it is another's or open."""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise PghotError(f"{path}: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PghotError(f"{path}: is not a directory of ours")
    if found.st_mode & 0o077:
        raise PghotError(f"{path}: others may enter it; chmod 700 {path}, or --no-control")
    return path


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at `path`, mode 0600, until the end; it has no name before it listens.

    InputError where the path is too long, or something that is no dead run's socket is there.
    """
    _make_way(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    if len(os.fsencode(fresh)) > _LONGEST:
        raise InputError(f"{path}: too long for the name of a socket ({_LONGEST} bytes)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        try:
            fresh.unlink(missing_ok=True)
            os.fchmod(server.fileno(), 0o600)  # bind() gives the file this mode
            server.bind(os.fsencode(fresh))
            server.listen(_WAITING)
            fresh.rename(path)
            ours = path.lstat()
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise PghotError(f"{path}: cannot listen there: {error.strerror}") from error
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(path.lstat(), ours):
                    path.unlink()


def live_sockets(directory: Path) -> list[Path]:
    """Give the sockets of runs in a directory, by pid; those that nobody listens at go."""
    try:
        found = sorted(
            (int(match[1]), path)
            for path in directory.iterdir()
            if (match := _OURS.fullmatch(path.name))
        )
    except OSError:
        return []
    return [path for _pid, path in found if not _stale(path)]


def connected(path: Path) -> socket.socket:
    """Connect to `path`; OSError where nobody listens or we may not."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(os.fsencode(path))
    except OSError:
        client.close()
        raise
    return client


def _make_way(path: Path) -> None:
    """Remove a dead run's socket at `path`; InputError where something else is there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise InputError(f"{path}: is there already and is no socket")
    if not _stale(path):
        raise InputError(f"{path}: another run listens there")


def _stale(path: Path) -> bool:
    """Remove a socket that nobody listens at; say whether it was one."""
    try:
        connected(path).close()
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            path.unlink()
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
