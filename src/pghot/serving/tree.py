"""The series' own files, as a file system over a run: debugfs, sysctls, vmstat.

What a read prints and a write accepts is what the series has behind each file (patches 3 to
5, mm/pghot-tunables.c and mm/pghot.c); the numbers are the run's, by its mailbox.  A run of
fidelity v8 has v8's files (R12.5).
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EACCES, EIO, EISDIR, ENOENT, ENOTDIR, EPERM, ETIMEDOUT
from itertools import count
from typing import Any, NoReturn

from pghot.driving.run_state import RunState
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import V7, Fidelity
from pghot.engine.tunables import TUNABLES
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

V8_FILES = {
    "/debug/pghot/kmigrated_sleep_ms": _SEQ,
    "/debug/pghot/kmigrated_batch_nr": _SEQ,
    "/sys/vm/pghot_enabled_sources": _SYSCTL,
    "/sys/vm/pghot_target_nid": _SYSCTL,
    "/sys/vm/pghot_freq_threshold": _SYSCTL,
    "/sys/vm/pghot_promote_freq_window_ms": _SYSCTL,
    "/sys/vm/pghot_promote_rate_limit_MBps": _SYSCTL,
    "/sys/kernel/numa_balancing_promote_rate_limit_MBps": _SYSCTL,
    "/vmstat": _VMSTAT,
}
"""The same of v8: three of the names have `pghot_` before the tunable's."""


def _directories(files: Mapping[str, _Kind]) -> dict[str, list[str]]:
    """Every directory's entries, by its path."""
    entries: dict[str, list[str]] = {}
    for path in files:
        while path != "/":
            parent, _, name = path.rpartition("/")
            names = entries.setdefault(parent or "/", [])
            if name not in names:
                names.append(name)
            path = parent or "/"  # noqa: PLW2901 - up the tree
    return entries


class Tree:
    """The operations of the file system, by FUSE's names; OSError with the kernel's errno."""

    use_ns = True
    """Times are in nanoseconds (mfusepy asks)."""

    def __init__(
        self,
        mailbox: Mailbox[RunState],
        started: Callable[[], None] = lambda: None,
        fidelity: Fidelity = V7,
    ) -> None:
        """Have `started` called when the kernel has mounted it; `fidelity` has the files."""
        self._files = V8_FILES if fidelity.v8_files else FILES
        self._directories = _directories(self._files)
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
        if path in self._directories:
            entries = self._directories[path]
            below = sum(_join(path, name) in self._directories for name in entries)
            mode, links = DIRECTORY_MODE, 2 + below
        else:
            mode, links = stat.S_IFREG | self._kind(path).mode, 1
        times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), self._since)
        owner = {"st_uid": os.geteuid(), "st_gid": os.getegid()}
        return {"st_mode": mode, "st_nlink": links, "st_size": 0, **owner, **times}

    def readdir(self, path: str, _handle: int) -> list[str]:
        """A directory's entries."""
        if path not in self._directories:
            raise OSError(ENOTDIR if path in self._files else ENOENT, path)
        return [".", "..", *self._directories[path]]

    def open(self, path: str, _flags: int) -> int:
        """Open a file; permissions are the kernel's affair."""
        if path in self._directories:
            raise OSError(EISDIR, path)
        self._kind(path)
        return next(self._numbers)

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        """The file's text as it was at the read of its start."""
        if offset and self._kind(path).whole:
            return b""
        if not offset or handle not in self._texts:
            self._texts[handle] = self._text(path)
        return self._texts[handle][offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, _handle: int) -> int:
        """Write a tunable; how many bytes of it were taken."""
        kind = self._kind(path)
        if path == "/vmstat":
            raise OSError(EIO, path)
        if offset and kind.whole:
            return len(data)
        taken = data[: kind.most]
        try:
            # A byte a character: the kernel's limits count bytes.
            self._mailbox.write(_tunable_of(path), taken.decode("latin-1"))
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
        self._kind(path)
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
        return f"{state.tunables[_tunable_of(path)]}\n".encode()

    def _kind(self, path: str) -> _Kind:
        if path not in self._files:
            raise OSError(EISDIR if path in self._directories else ENOENT, path)
        return self._files[path]

    def _first_state(self, path: str) -> RunState:
        came = self._mailbox.next_state(0, PATIENCE_S)
        if came is None:
            raise OSError(EIO if self._mailbox.closed else ETIMEDOUT, path)
        return came[1]


def _tunable_of(path: str) -> str:
    """The tunable behind a file."""
    name = path.rpartition("/")[2]
    return name if name in TUNABLES else name.removeprefix("pghot_")


def _join(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"
