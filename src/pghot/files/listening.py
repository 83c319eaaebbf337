"""Listening at a unix socket that only its owner can open."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pghot.errors import InputError, PghotError
from pghot.files.directory import Directory, open_directory

_WAITING = 16
_LONGEST = 107
"""Bytes of a socket's path: sun_path of unix(7), but for the last."""

_UCRED = struct.Struct("iII")
"""struct ucred of SO_PEERCRED: pid, uid, gid."""


def peer_of(client: socket.socket) -> tuple[int, int]:
    """Who connected, as the kernel says: pid and uid."""
    raw = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _gid = _UCRED.unpack(raw)
    return pid, uid


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
    if not stale(directory, path.name):
        raise InputError(f"{path}: another run listens there")


def stale(directory: Directory, name: str) -> bool:
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
