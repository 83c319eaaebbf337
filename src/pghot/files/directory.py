"""A directory held open: all that is done in it goes by its descriptor, never by a path again.

Whoever owns a directory, or may write to it, can put another file or a symbolic link under any
name in it.  Root therefore goes to a directory a step at a time (path_resolution(7)), and
refuses one that such a person could swap.
"""

from __future__ import annotations

import fcntl
import io
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Self

from pghot.errors import InputError

PRIVATE = 0o600
"""Mode of what holds the addresses of other users' memory, as perf's recordings have it."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40
"""Symbolic links on the way to a directory at the most, as the kernel has it (MAXSYMLINKS)."""


class UntrustedError(InputError):
    """A place that another user could swap under root's hands."""


class _Raw(io.FileIO):
    """Writes by the system call; the descriptor is its maker's to close."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: object) -> int:
        return os.write(self.fileno(), data)  # type: ignore[arg-type]


class Directory:
    """A directory by its descriptor; `path` is how it was named, for messages alone."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; a lock goes with it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def names(self) -> list[str]:
        """Its entries, sorted."""
        return sorted(os.listdir(self.descriptor))  # noqa: PTH208 - a descriptor

    def status(self, name: str) -> os.stat_result | None:
        """What stat shows of an entry itself, links not followed; None where there is none."""
        try:
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, name: str, flags: int, mode: int = PRIVATE) -> int:
        """Descriptor of an entry, links not followed."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, mode, dir_fd=self.descriptor)

    def make(self, name: str) -> None:
        """Make a directory that its owner alone may enter."""
        os.mkdir(name, 0o700, dir_fd=self.descriptor)

    def below(self, name: str) -> Directory:
        """An entry that is a directory, held open as well; UntrustedError as `open_directory`."""
        descriptor = os.open(name, _HELD, dir_fd=self.descriptor)
        try:
            _check(os.fstat(descriptor), self.path / name)
        except BaseException:
            os.close(descriptor)
            raise
        return Directory(self.path / name, descriptor)

    def rename(self, old: str, new: str, to: Directory | None = None) -> None:
        """An entry another name, in the directory `to` where that is another."""
        target = self.descriptor if to is None else to.descriptor
        os.replace(old, new, src_dir_fd=self.descriptor, dst_dir_fd=target)

    def unlink(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory."""
        os.rmdir(name, dir_fd=self.descriptor)

    def remove_tree(self, name: str) -> None:
        """Remove a directory and all below it, links not followed."""
        shutil.rmtree(name, dir_fd=self.descriptor)

    def remove_held(self, name: str, below: Directory) -> None:
        """Remove `below`, whose name here is `name`, and all in it.

        By its own descriptor: no other may be left.
        """
        try:
            for entry in below.names():
                below.unlink(entry)
            self.remove_directory(name)
        except OSError:  # a directory is in it
            self.remove_tree(name)

    def sync(self) -> None:
        """Put its names on disk."""
        os.fsync(self.descriptor)

    def lock(self) -> None:
        """Take it for this process until it is closed; BlockingIOError where another has it."""
        fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @contextmanager
    def draft(self, name: str, mode: int = PRIVATE) -> Iterator[BinaryIO]:
        """A new file under a hidden name; at a clean end it is on disk and takes its own.

        Whatever stood under `name` is replaced then, and untouched after an error.  `mode` is
        as given where it is PRIVATE, whatever the umask; else the umask holds.
        """
        hidden = f".{name}.{os.urandom(6).hex()}"
        with self.fresh(hidden, mode) as stream:
            try:
                yield stream
                flush_to_disk(stream)
                self.rename(hidden, name)
            except BaseException:
                with suppress(OSError):
                    self.unlink(hidden)
                raise
        self.sync()

    @contextmanager
    def fresh(self, name: str, mode: int = PRIVATE) -> Iterator[BinaryIO]:
        """A file that was not there before; OSError where something was."""
        descriptor = os.open(name, _FRESH, mode, dir_fd=self.descriptor)
        stream = io.BufferedWriter(_Raw(descriptor), 1 << 18)
        try:
            if mode == PRIVATE:
                os.fchmod(descriptor, mode)
            yield stream
        finally:
            # Closed as a stream first: what it holds must not reach another file's descriptor.
            with suppress(OSError):
                stream.close()
            os.close(descriptor)


def flush_to_disk(stream: BinaryIO) -> None:
    """Put a file of `Directory.fresh` on disk as it is now."""
    raw = stream.raw  # type: ignore[attr-defined]
    if not stream.closed:
        stream.flush()
        os.fsync(raw.fileno())
        return
    raise ValueError("closed before it was put on disk")


def open_directory(path: Path | str) -> Directory:
    """Hold a directory open; OSError where it is not there or is none.

    As root: UntrustedError where it, or one on the way to it, is another user's, or may be
    written by others (unless it is sticky, as /tmp is, and the next step is root's own).
    """
    path = Path(path)
    if os.geteuid():
        return Directory(path, os.open(path, _HELD & ~os.O_NOFOLLOW))
    descriptor = _walk(path)
    try:
        return Directory(path, os.open(".", _HELD, dir_fd=descriptor))
    finally:
        os.close(descriptor)


def read_private(path: Path | str) -> bytes:
    """Content of a file; as root UntrustedError where another user could have written it."""
    path = Path(path)
    if os.geteuid():
        return path.read_bytes()
    descriptor = _walk(path, file=True)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(21, os.strerror(21), str(path))
        _check(status, path, sticky=False)
        with open(f"/proc/self/fd/{descriptor}", "rb") as stream:  # noqa: PTH123 - by descriptor
            return stream.read()
    finally:
        os.close(descriptor)


def _walk(path: Path, *, file: bool = False) -> int:
    """Descriptor (O_PATH) of a path, every step of it checked; symbolic links of root's hold."""
    absolute = path.absolute()
    steps = list(absolute.parts[1:])[::-1]
    shown = Path("/")
    at = os.open("/", _STEP | os.O_DIRECTORY)
    links = 0
    try:
        _check(os.fstat(at), shown)
        while steps:
            step = steps.pop()
            entry = os.open(step, _STEP, dir_fd=at)
            try:
                status = os.fstat(entry)
                if stat.S_ISLNK(status.st_mode):
                    links += 1
                    _check_link(status, shown / step)
                    if links > _LINKS:
                        raise OSError(40, os.strerror(40), str(path))
                    target = Path(os.readlink("", dir_fd=entry))
                    steps += [part for part in target.parts if part != "/"][::-1]
                    if target.is_absolute():
                        os.close(at)
                        at, shown = os.open("/", _STEP | os.O_DIRECTORY), Path("/")
                    continue
                shown = shown / step
                if not stat.S_ISDIR(status.st_mode) and (steps or not file):
                    raise NotADirectoryError(20, os.strerror(20), str(shown))
                if stat.S_ISDIR(status.st_mode):
                    _check(status, shown)
                os.close(at)
                at, entry = entry, -1
            finally:
                if entry >= 0:
                    os.close(entry)
    except BaseException:
        os.close(at)
        raise
    return at


def _check(status: os.stat_result, path: Path, *, sticky: bool = True) -> None:
    """Refuse, as root, what another user owns or may write."""
    if os.geteuid():
        return
    if status.st_uid:
        raise UntrustedError(
            f"{path}: belongs to {_user(status.st_uid)}, who could swap what root has there; "
            "choose a place that is root's alone"
        )
    if status.st_mode & 0o022 and not (sticky and status.st_mode & stat.S_ISVTX):
        raise UntrustedError(
            f"{path}: others may write to it (mode {stat.S_IMODE(status.st_mode):04o}) and "
            "could swap what root has there; choose a place that is root's alone"
        )


def _check_link(status: os.stat_result, path: Path) -> None:
    if status.st_uid:
        raise UntrustedError(
            f"{path}: a symbolic link of {_user(status.st_uid)}, which root does not follow"
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
