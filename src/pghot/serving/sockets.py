"""Unix sockets that only their owner can open, and those that dead runs left."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pghot.errors import InputError, PghotError
from pghot.files.directory import Directory, UntrustedError, open_directory

_OURS = re.compile(r"([0-9]+)\.sock")
_WAITING = 16
_LONGEST = 107
"""Bytes of a socket's path: sun_path of unix(7), but for the last."""


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


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen at `path`, mode 0600, until the end; it has no name before it listens.

    InputError where the path is too long, something that is no dead run's socket is there, or,
    as root, others could put something there.
    """
    if len(os.fsencode(path)) > _LONGEST:
        raise InputError(f"{path}: too long for the name of a socket ({_LONGEST} bytes)")
    with ExitStack() as stack:
        try:
            directory = stack.enter_context(open_directory(path.parent))
        except OSError as error:
            raise PghotError(f"{path}: cannot listen there: {error.strerror}") from error
        _make_way(directory, path)
        server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        ours = _named(server, directory, path)
        try:
            yield server
        finally:
            with contextlib.suppress(OSError):
                found = directory.status(path.name)
                if found is not None and os.path.samestat(found, ours):
                    directory.unlink(path.name)


def _named(server: socket.socket, directory: Directory, path: Path) -> os.stat_result:
    """Have the socket listen, then take its name; what stat shows of it."""
    fresh = f".{path.name}.{os.getpid()}"
    try:
        directory.unlink(fresh)
        os.fchmod(server.fileno(), 0o600)  # bind() gives the file this mode
        server.bind(_by_descriptor(directory, fresh))
        server.listen(_WAITING)
        directory.rename(fresh, path.name)
        return os.stat(path.name, dir_fd=directory.descriptor, follow_symlinks=False)
    except OSError as error:
        with contextlib.suppress(OSError):
            directory.unlink(fresh)
        raise PghotError(f"{path}: cannot listen there: {error.strerror}") from error


def _by_descriptor(directory: Directory, name: str) -> bytes:
    """Path of a socket in a directory that is held open: bind() and connect() take no less."""
    return os.fsencode(f"/proc/self/fd/{directory.descriptor}/{name}")


def live_sockets(directory: Path) -> list[Path]:
    """The sockets of runs in a directory, by pid; sockets without a listener are removed."""
    try:
        with open_directory(directory) as held:
            found = sorted(
                (int(match[1]), name) for name in held.names() if (match := _OURS.fullmatch(name))
            )
            return [directory / name for _pid, name in found if not _stale(held, name)]
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


def _make_way(directory: Directory, path: Path) -> None:
    """Remove a dead run's socket at `path`; InputError where something else is there."""
    try:
        found = directory.status(path.name)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if found is None:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise InputError(f"{path}: is there already and is no socket")
    if not _stale(directory, path.name):
        raise InputError(f"{path}: another run listens there")


def _stale(directory: Directory, name: str) -> bool:
    """Remove a socket without a listener; whether it was one."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.connect(_by_descriptor(directory, name))
    except ConnectionRefusedError:
        with contextlib.suppress(OSError):
            directory.unlink(name)
        return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    finally:
        client.close()
    return False
