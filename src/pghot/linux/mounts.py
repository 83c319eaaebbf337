"""Mounts of ours: taken away at the end of a run, and found where a killed run left one."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import subprocess

from pghot.errors import PghotError
from pghot.linux.host import Host

MOUNTINFO = "/proc/self/mountinfo"
FSTYPE = "fuse.pghot"
MNT_FORCE, MNT_DETACH = 1, 2


def dead_mounts(host: Host) -> list[str]:
    """Give the mounts of ours that nobody answers for any more, the last mounted first.

    The kernel says so itself (ENOTCONN) once the process that held the mount has gone.
    """
    return [path for path in _ours(host) if _is_dead(host, path)][::-1]


def unmount(path: str) -> None:
    """Take a mount of FUSE away at once, open files or not; OSError where that fails.

    Root asks the kernel; others have it done by fusermount3, which lets them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), MNT_FORCE | MNT_DETACH) == 0:
        return
    number = ctypes.get_errno()
    program = shutil.which("fusermount3") or shutil.which("fusermount")
    if number != errno.EPERM or program is None:
        raise OSError(number, os.strerror(number), path)
    done = subprocess.run(  # noqa: S603 - the system's own
        [program, "-u", "-z", "-q", path], check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise OSError(number, os.strerror(number), path)


def clear_dead_mounts(host: Host) -> tuple[list[str], dict[str, str]]:
    """Take dead mounts away: give those that are gone, and why others are not."""
    gone, failed = [], {}
    for path in dead_mounts(host):
        try:
            unmount(str(host.path(path)))
        except OSError as error:
            failed[path] = error.strerror or str(error)
        else:
            gone.append(path)
    return gone, failed


def end_mount(path: str) -> None:
    """Take the mount of a run away; PghotError where that fails."""
    try:
        unmount(path)
    except OSError as error:
        raise PghotError(f"{path}: not unmounted: {error.strerror}; try umount -l") from error


def _ours(host: Host) -> list[str]:
    """Give the mount points of our type (proc_pid_mountinfo(5))."""
    points = []
    for line in host.text_or(MOUNTINFO).splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if after.split(" ")[0] == FSTYPE and len(fields) > 4:
            points.append(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4]))
    return points


def _is_dead(host: Host, path: str) -> bool:
    try:
        os.statvfs(host.path(path))  # what stat shows may be the kernel's memory of a live one
    except OSError as error:
        return error.errno in {errno.ENOTCONN, errno.ECONNABORTED}
    return False
