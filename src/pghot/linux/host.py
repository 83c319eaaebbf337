"""The one object behind which a Linux host stands.

Modules of this room take a `Host` and ask it for files and system calls by the names that
the kernel gives them.  Tests hand them a `Host` whose root is a recorded tree of sysfs and
proc files, or one that overrides the system calls.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_HELD_BYTES = 4096
"""Bytes of a held file: settings are a word."""

_ENDS = " \t\n\v\f\r\0"
"""What ends a text; kernels before 4.4 put a NUL after some lists."""


class Host:
    """Files and system calls of the host below `root`.

    Names of files are absolute, as the kernel documents them: `/proc/zoneinfo`.  Errors are
    the OSError of the call.  Whoever asks whether a feature is there asks for its file.
    """

    def __init__(self, root: Path | str = "/") -> None:
        self.root = Path(root)
        self._prefix = str(self.root).rstrip("/")
        self._held: dict[str, int] = {}

    def path(self, name: str) -> Path:
        """Where a file of the host really is."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """Whether the file or directory is there and may be looked for."""
        try:
            return self.path(name).exists()
        except OSError:
            return False

    def names(self, name: str) -> list[str]:
        """The entries of a directory, sorted; none where it is not there."""
        try:
            return sorted(entry.name for entry in self.path(name).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def pids(self) -> set[int]:
        """The processes there are, as /proc lists them."""
        with os.scandir(f"{self._prefix}/proc") as entries:
            return {int(entry.name) for entry in entries if entry.name.isdecimal()}

    def hold(self, name: str) -> None:
        """Keep a file that is read and written open, until `release`.

        From then on `text` and `write` need no descriptor for it.
        """
        if name not in self._held:
            self._held[name] = os.open(self.path(name), os.O_RDWR | os.O_CLOEXEC)

    def release(self) -> None:
        """Let go of all files that are held."""
        while self._held:
            os.close(self._held.popitem()[1])

    def text(self, name: str) -> str:
        """Read a text file, white space at its ends left out, and the NUL of old kernels."""
        descriptor = self._held.get(name)
        if descriptor is not None:
            if not os.fstat(descriptor).st_nlink:  # removed: with its module, or unmounted
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            return self._read_held(name).decode(errors="replace").strip(_ENDS)
        with open(self._prefix + name, "rb", buffering=0) as file:  # noqa: PTH123 - thousands
            return file.read().decode(errors="replace").strip(_ENDS)

    def text_or(self, name: str, default: str = "") -> str:
        """Read a text file, or give `default` where it cannot be read."""
        try:
            return self.text(name)
        except OSError:
            return default

    def link_or(self, name: str, default: str = "") -> str:
        """What a symbolic link says, or `default` where there is none to be read."""
        try:
            return str(self.path(name).readlink())
        except OSError:
            return default

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`; fewer where the file ends."""
        descriptor = os.open(self.path(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    def write(self, name: str, text: str) -> None:
        """Write a file that exists already, as `echo TEXT > FILE` does, in one write.

        Host settings are changed through `guard`, which comes here.
        """
        line = text.encode() + b"\n"
        if name in self._held:
            _write_first(self._held[name], line)
            return
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def _read_held(self, name: str) -> bytes:
        """Read a held file from its start; one that cannot seek is opened anew in its place."""
        try:
            return os.pread(self._held[name], _HELD_BYTES, 0)
        except OSError as error:
            if error.errno != errno.ESPIPE:
                raise
        os.close(self._held.pop(name))  # first: there may be no other descriptor to be had
        self.hold(name)
        return os.read(self._held[name], _HELD_BYTES)

    def sysconf(self, name: str) -> int:
        """A limit of the system by name: `SC_PAGE_SIZE`, in bytes."""
        return os.sysconf(name)

    def move_pages(
        self, pid: int, addresses: npt.NDArray[np.uint64], nodes: npt.NDArray[np.int32] | None
    ) -> npt.NDArray[np.int32]:
        """Move pages of a process, or ask where they are, by the system call move_pages.

        Gives a status a page, the node or a negative errno; `nodes` None only asks.
        """
        from pghot.linux import syscalls  # noqa: PLC0415 - most commands do without

        return syscalls.move_pages(pid, addresses, nodes)

    def move_all_pages(
        self, pid: int, addresses: npt.NDArray[np.uint64], nodes: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int32]:
        """Move pages as `move_pages` does, those that other processes map as well."""
        from pghot.linux import syscalls  # noqa: PLC0415 - most commands do without

        return syscalls.move_pages(pid, addresses, nodes, syscalls.MPOL_MF_MOVE_ALL)

    def node_of_page(self, address: int) -> int:
        """Ask move_pages on which node a page of our own is: the node, or a negative errno."""
        from pghot.linux import syscalls  # noqa: PLC0415 - most commands do without

        return syscalls.node_of_page(address)

    def perf_event_open(self, attr: bytes, pid: int, cpu: int, group: int = -1) -> int:
        """Open a perf event and give its descriptor (close-on-exec)."""
        from pghot.linux import syscalls  # noqa: PLC0415 - most commands do without

        return syscalls.perf_event_open(attr, pid, cpu, group)

    def perf_event_ioctl(self, descriptor: int, request: int, argument: int = 0) -> None:
        """Ask something of an open perf event: PERF_EVENT_IOC_ENABLE and its like."""
        fcntl.ioctl(descriptor, request, argument)


def _write_first(descriptor: int, line: bytes) -> None:
    """Write at the start of a file; debugfs's attributes have no place to seek to."""
    try:
        os.pwrite(descriptor, line, 0)
    except OSError as error:
        if error.errno != errno.ESPIPE:
            raise
        os.write(descriptor, line)
