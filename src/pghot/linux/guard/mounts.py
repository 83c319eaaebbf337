"""Mounts of ours: taken away at the end of a run, and found where a killed run left one.

Whatever is mounted is written down in the state directory, before and after; only what is
written there is ever unmounted, and only where it still is that very mount.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pghot.errors import PghotError
from pghot.files.directory import Directory, open_directory
from pghot.linux.guard import lock
from pghot.linux.host import Host

MOUNTINFO = "/proc/self/mountinfo"
FSTYPE = "fuse.pghot"
MNT_FORCE, MNT_DETACH, UMOUNT_NOFOLLOW = 1, 2, 8
_RECORD = re.compile(r"mount-[0-9]+")
_MOST = 1 << 16


class Mount(NamedTuple):
    """A line of mountinfo (proc_pid_mountinfo(5)); `device` is major:minor."""

    number: int
    device: str
    point: str
    kind: str
    options: str


@dataclass(frozen=True, slots=True)
class _Written:
    """What is written down of a mount; `device` is empty until it has been made."""

    name: str
    point: str
    device: str


@contextmanager
def written_down(host: Host, point: Path, state_dir: Path | None = None) -> Iterator[Record]:
    """Write down a mount that is about to be made at `point`, until the end."""
    with ExitStack() as stack:
        try:
            directory = stack.enter_context(_state_directory(state_dir))
            record = Record(host, directory, point)
            record.write()
        except OSError as error:
            raise PghotError(f"--mount {point}: {error.strerror or error}") from error
        try:
            yield record
        finally:
            if record.gone:
                with contextlib.suppress(OSError):
                    directory.unlink(record.name)


class Record:
    """What is written down of our own mount."""

    def __init__(self, host: Host, directory: Directory, point: Path) -> None:
        self.name = f"mount-{os.getpid()}"
        self.gone = True
        """Whether there is nothing to unmount any more."""
        self._host = host
        self._directory = directory
        self._point = point

    def write(self, device: str = "") -> None:
        """Write it down, on disk at return."""
        content = json.dumps({"point": str(self._point), "device": device}).encode() + b"\n"
        with self._directory.draft(self.name) as stream:
            stream.write(content)

    def made(self) -> None:
        """Write down which mount it became."""
        self.gone = False
        ours = [mount for mount in _ours(self._host) if mount.point == str(self._point)]
        if ours:
            self.write(ours[-1].device)

    def end(self) -> None:
        """Take it away; PghotError where that fails."""
        end_mount(str(self._point))  # where this process mounted it, whatever host it watches
        self.gone = True


def dead_mounts(host: Host, state_dir: Path | None = None) -> list[str]:
    """Our mounts whose process has gone, the last mounted first.

    The kernel says so itself (ENOTCONN) once the process that held the mount has gone.
    """
    return [written.point for written in _dead(host, state_dir)]


def unmount(host: Host, point: str) -> None:
    """Take a mount of ours away at once, open files or not; OSError where that fails.

    By the descriptor of the directory that it is in, and no link is followed.  Root asks the
    kernel; others have it done by fusermount3, which lets them.
    """
    path = host.path(point)
    libc = ctypes.CDLL(None, use_errno=True)
    with open_directory(path.parent) as parent:
        _check_ours(parent, path.name)
        name = os.fsencode(f"/proc/self/fd/{parent.descriptor}/{path.name}")
        if libc.umount2(name, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0:
            return
        number = ctypes.get_errno()
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if number != errno.EPERM or program is None:
        raise OSError(number, os.strerror(number), point)
    done = subprocess.run(  # noqa: S603 - the system's own
        [program, "-u", "-z", "-q", point], check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise OSError(number, os.strerror(number), point)


def end_mount(point: str) -> None:
    """Take a mount of ours away; PghotError where that fails."""
    try:
        unmount(Host(), point)
    except OSError as error:
        raise PghotError(f"{point}: not unmounted: {error.strerror}; try umount -l") from error


def clear_dead_mounts(
    host: Host, state_dir: Path | None = None
) -> tuple[list[str], dict[str, str]]:
    """Take dead mounts away: give those that are gone, and why others are not."""
    gone, failed = [], {}
    for written in _dead(host, state_dir):
        try:
            unmount(host, written.point)
        except (OSError, PghotError) as error:
            failed[written.point] = getattr(error, "strerror", None) or str(error)
        else:
            gone.append(written.point)
            _forget(written, state_dir)
    return gone, failed


def _dead(host: Host, state_dir: Path | None) -> list[_Written]:
    there = {(mount.point, mount.device): at for at, mount in enumerate(_ours(host))}
    points = {point: at for (point, _device), at in there.items()}
    found = []
    for written in _written(state_dir):
        at = there.get((written.point, written.device))
        if at is None and not written.device:  # killed just as it mounted
            at = points.get(written.point)
        if at is None:
            _forget(written, state_dir)
        elif _is_dead(host, written.point):
            found.append((at, written))
    return [written for _at, written in sorted(found, key=lambda pair: -pair[0])]


def _written(state_dir: Path | None) -> list[_Written]:
    found = []
    with contextlib.suppress(OSError, PghotError), _state_directory(state_dir) as directory:
        for name in filter(_RECORD.fullmatch, directory.names()):
            descriptor = directory.open(name, os.O_RDONLY | os.O_NONBLOCK)
            try:
                values = json.loads(os.read(descriptor, _MOST))
                found.append(_Written(name, str(values["point"]), str(values["device"])))
            except (OSError, ValueError, TypeError, KeyError, RecursionError):
                continue
            finally:
                os.close(descriptor)
    return found


def _forget(written: _Written, state_dir: Path | None) -> None:
    """Drop what is written of a mount that is not there, unless its run may just make it."""
    pid = int(written.name.rpartition("-")[2])
    if Path(f"/proc/{pid}").exists():
        return
    with contextlib.suppress(OSError, PghotError), _state_directory(state_dir) as directory:
        directory.unlink(written.name)


def _state_directory(state_dir: Path | None) -> Directory:
    path = state_dir or lock.default_state_dir()
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755)
    return open_directory(path)


def _ours(host: Host) -> list[Mount]:
    """The mounts of our type that a process of our own user made.

    Others may mount what they like with fusermount3, and give it any type; the kernel says
    whose it is.
    """
    return [
        mount
        for mount in _mounts(host)
        if mount.kind == FSTYPE and f"user_id={os.geteuid()}" in mount.options.split(",")
    ]


def _mounts(host: Host) -> list[Mount]:
    mounts = []
    for line in host.text_or(MOUNTINFO).splitlines():
        before, _, after = line.partition(" - ")
        fields, more = before.split(" "), after.split(" ")
        if len(fields) > 4 and len(more) > 2:
            point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
            mounts.append(Mount(int(fields[0]), fields[2], point, more[0], more[2]))
    return mounts


def _check_ours(parent: Directory, name: str) -> None:
    """See that what is mounted at an entry is ours, by its descriptor; OSError."""
    descriptor = parent.open(name, os.O_PATH | os.O_DIRECTORY)
    try:
        text = Path(f"/proc/self/fdinfo/{descriptor}").read_text()
        number = re.search(r"^mnt_id:\s*(\d+)$", text, re.MULTILINE)
        if number and int(number[1]) in {mount.number for mount in _ours(Host())}:
            return
        raise OSError(errno.EINVAL, "no mount of ours is there")
    finally:
        os.close(descriptor)


def _is_dead(host: Host, path: str) -> bool:
    try:
        os.statvfs(host.path(path))  # what stat shows may be the kernel's memory of a live one
    except OSError as error:
        return error.errno in {errno.ENOTCONN, errno.ECONNABORTED}
    return False
