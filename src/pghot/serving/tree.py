"""The series' own files, as a file system over a run: debugfs, sysctls, vmstat.

What a read prints and a write accepts is what the series has behind each file (patches 3 to
5, mm/pghot-tunables.c and mm/pghot.c); the numbers are the run's, by its mailbox.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EACCES, EIO, EISDIR, ENOENT, ENOTDIR, EPERM, ETIMEDOUT
from itertools import count
from typing import Any, NoReturn

from pghot.driving.run_state import RunState
from pghot.engine.errors import TunableError
from pghot.errors import PghotError
from pghot.live.mailbox import Mailbox

PATIENCE_S = 10.0
"""How long a read waits for the first state of a run that only starts."""

PGHOT_BYTES = 15
"""Bytes of one write that pghot's own debugfs files take; the writer comes again with the rest."""

DIRECTORY_MODE = stat.S_IFDIR | 0o755


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the kernel serves a file: debugfs through seq_file, debugfs u32, sysctl, vmstat."""

    mode: int = 0o644
    most: int | None = None
    """Bytes taken of one write; None for all of them."""
    whole: bool = False
    """Whether only offset 0 counts: a later read is at the end, a later write is ignored."""


_SEQ = _Kind(most=PGHOT_BYTES)
_U32 = _Kind()
_SYSCTL = _Kind(whole=True)  # fs/proc and kernel/sysctl.c, do_proc_dointvec()
_VMSTAT = _Kind(mode=0o444)

FILES = {
    "/debug/pghot/enabled_sources": _SEQ,
    "/debug/pghot/target_nid": _SEQ,
    "/debug/pghot/freq_threshold": _SEQ,
    "/debug/pghot/kmigrated_sleep_ms": _U32,
    "/debug/pghot/kmigrated_batch_nr": _U32,
    "/sys/vm/pghot_promote_freq_window_ms": _SYSCTL,
    "/sys/vm/pghot_promote_rate_limit_MBps": _SYSCTL,
    "/sys/vm/numa_balancing_promote_rate_limit_MBps": _SYSCTL,
    "/vmstat": _VMSTAT,
}
"""Every file of the tree.  A tunable's file has the tunable's name."""


def _directories() -> dict[str, list[str]]:
    """Every directory's entries, by its path."""
    entries: dict[str, list[str]] = {}
    for path in FILES:
        while path != "/":
            parent, _, name = path.rpartition("/")
            names = entries.setdefault(parent or "/", [])
            if name not in names:
                names.append(name)
            path = parent or "/"  # noqa: PLW2901 - up the tree
    return entries


DIRECTORIES = _directories()


class Tree:
    """The operations of the file system, by FUSE's names; OSError with the kernel's errno."""

    use_ns = True
    """Times are in nanoseconds (mfusepy asks)."""

    def __init__(
        self, mailbox: Mailbox[RunState], started: Callable[[], None] = lambda: None
    ) -> None:
        """Have `started` called when the kernel has mounted it."""
        self._mailbox = mailbox
        self._started = started
        self._since = time.time_ns()
        self._numbers = count(1)
        self._texts: dict[int, bytes] = {}

    def init(self, _path: str) -> None:
        """Print that it is mounted."""
        self._started()

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, Any]:
        """What stat shows.  Sizes are 0, as in proc and debugfs."""
        if path in DIRECTORIES:
            below = sum(_join(path, name) in DIRECTORIES for name in DIRECTORIES[path])
            mode, links = DIRECTORY_MODE, 2 + below
        else:
            mode, links = stat.S_IFREG | _kind(path).mode, 1
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), self._since)
        owner = {"st_uid": os.geteuid(), "st_gid": os.getegid()}
        return {"st_mode": mode, "st_nlink": links, "st_size": 0, **owner, **times}

    def readdir(self, path: str, _handle: int) -> list[str]:
        """A directory's entries."""
        if path not in DIRECTORIES:
            raise OSError(ENOTDIR if path in FILES else ENOENT, path)
        return [".", "..", *DIRECTORIES[path]]

    def open(self, path: str, _flags: int) -> int:
        """Open a file; permissions are the kernel's affair."""
        if path in DIRECTORIES:
            raise OSError(EISDIR, path)
        _kind(path)
        return next(self._numbers)

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        """The file's text as it was at the read of its start."""
        if offset and _kind(path).whole:
            return b""
        if not offset or handle not in self._texts:
            self._texts[handle] = self._text(path)
        return self._texts[handle][offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, _handle: int) -> int:
        """Write a tunable; how many bytes of it were taken."""
        kind = _kind(path)
        if path == "/vmstat":
            raise OSError(EIO, path)
        if offset and kind.whole:
            return len(data)
        taken = data[: kind.most]
        try:
            # A byte a character: the kernel's limits count bytes.
            self._mailbox.write(path.rpartition("/")[2], taken.decode("latin-1"))
        except TunableError as error:
            raise OSError(error.errno, str(error)) from error
        except PghotError as error:
            raise OSError(EIO, str(error)) from error
        return len(taken)

    def release(self, _path: str, handle: int) -> int:
        """Forget what was read through a handle."""
        self._texts.pop(handle, None)
        return 0

    def truncate(self, path: str, _length: int, _handle: int | None = None) -> int:
        """Accept what `> FILE` does first; nothing is cut."""
        _kind(path)
        return 0

    def utimens(self, path: str, _times: object = None) -> int:
        """Accept a touch of what is there; the kernel's files keep their times as well."""
        self.getattr(path)
        return 0

    def create(self, path: str, _mode: int, _info: object = None) -> NoReturn:
        """Refuse: neither debugfs nor proc lets anybody make a file."""
        raise OSError(EACCES, path)

    def _refuse(self, path: str, *_more: object) -> NoReturn:
        """Refuse: the tree's shape, owners and modes are fixed."""
        raise OSError(EPERM, path)

    mknod = mkdir = unlink = rmdir = symlink = link = rename = chmod = chown = _refuse

    def _text(self, path: str) -> bytes:
        state = self._mailbox.state() or self._first_state(path)
        if path == "/vmstat":
            return "".join(f"{name} {n}\n" for name, n in state.vmstat.items()).encode()
        return f"{state.tunables[path.rpartition('/')[2]]}\n".encode()

    def _first_state(self, path: str) -> RunState:
        came = self._mailbox.next_state(0, PATIENCE_S)
        if came is None:
            raise OSError(EIO if self._mailbox.closed else ETIMEDOUT, path)
        return came[1]


def _kind(path: str) -> _Kind:
    if path not in FILES:
        raise OSError(EISDIR if path in DIRECTORIES else ENOENT, path)
    return FILES[path]


def _join(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"
