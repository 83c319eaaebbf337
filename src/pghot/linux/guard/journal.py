"""The journal of changed settings: on disk before the host is touched, gone once all is back.

A file of JSON lines.  The first says which boot it belongs to; every other one is a change
about to be made (`old`, `new`), or how a change read back (`became`).  Room for all of them
is taken before the first, and the file is held open: neither a full disk nor a lack of
descriptors keeps a line out of it.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pghot.errors import PghotError
from pghot.files.directory import Directory, open_directory
from pghot.linux.guard.settings import check_allowed, same_value

ROOM = 64 << 10
"""Bytes taken beforehand: some hundred changes; a run makes six."""

_MOST = 1 << 20
"""Bytes of a journal that is read."""

_FORM = 2
"""Since this form `became` follows every change: one without it may have become anything."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One change: `new` was to be written over `old`; `became` is what it then read as.

    `sure`: it is known what it became; else a crash came between the two.
    """

    path: str
    old: str
    new: str
    became: str | None = None
    sure: bool = True

    def left(self, value: str) -> bool:
        """Whether `value` is what this change left, or can be."""
        return not self.sure or same_value(value, self.new if self.became is None else self.became)


@dataclass(slots=True)
class JournalContent:
    """What a journal holds; `unreadable` are whole lines that are no entries."""

    entries: list[JournalEntry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    boot: str = ""
    sure: bool = True


class Journal:
    """The file; OSError comes out as PghotError with one line."""

    def __init__(self, path: Path, directory: Directory | None = None) -> None:
        """`directory` is the one of `path`, held open; opened when needed where not given."""
        self.path = path
        self._directory = directory
        self._descriptor = -1
        self._end = 0
        self._fresh = f"{path.name}.new"

    def prepare(self) -> None:
        """Make the file under a hidden name, take room for it, and hold it open."""
        if self._descriptor >= 0:
            return
        directory = self._held()
        try:
            directory.unlink(self._fresh)
            self._descriptor = directory.open(self._fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            os.posix_fallocate(self._descriptor, 0, ROOM)
        except OSError as error:
            self.forget()
            raise self._failed(error) from error
        self._end = 0

    def forget(self) -> None:
        """Let go of a file that was prepared and holds nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        try:
            self._held().unlink(self._fresh)
        except OSError:
            return

    def begin(self, boot: str) -> None:
        """Let the file have its name; `boot` is the kernel's boot_id: a reboot undoes changes."""
        self.prepare()
        self._append({"boot": boot, "form": _FORM})
        self._name()

    def change(self, path: str, old: str, new: str) -> None:
        """Write down a change, safe on disk at return; only then may it be made."""
        self._append({"path": path, "old": old, "new": new})

    def became(self, path: str, value: str) -> None:
        """Write down that the last change of `path` reads back as `value`."""
        self._append({"path": path, "became": value})

    def read(self) -> JournalContent | None:
        """What the file holds, or None where there is none.

        A last line that is not whole was torn by a crash: its change was not yet made.
        """
        try:
            descriptor = self._held().open(self.path.name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error) from error
        try:
            text = self._text(descriptor)
        except OSError as error:
            raise self._failed(error) from error
        finally:
            os.close(descriptor)
        found = JournalContent()
        for line in text.split("\n")[:-1]:
            _take(line, found)
        return found

    def delete(self) -> None:
        """Remove the file."""
        directory = self._held()
        try:
            directory.unlink(self.path.name)
            directory.sync()
        except OSError as error:
            raise self._failed(error) from error
        self.forget()

    def replace(self, found: JournalContent) -> None:
        """Keep only this, in one step; PghotError, and all is as it was, where that fails."""
        other = Journal(self.path, self._held())
        other.prepare()
        try:
            other._append({"boot": found.boot, "form": _FORM})
            for line in found.unreadable:
                other._append_line(line.encode("utf-8", "surrogateescape"))
            for entry in found.entries:
                other.change(entry.path, entry.old, entry.new)
                if entry.sure:
                    other.became(entry.path, entry.new if entry.became is None else entry.became)
            other._name()
        except BaseException:
            other.forget()
            raise
        self.close()
        self._descriptor, self._end = other._descriptor, other._end

    def close(self) -> None:
        """Let go of the file; it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _held(self) -> Directory:
        if self._directory is None:
            self._directory = open_directory(self.path.parent)
        return self._directory

    def _text(self, descriptor: int) -> str:
        status = os.fstat(descriptor)
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
            raise PghotError(f"{self.path}: could have been written by others than its owner")
        if not stat.S_ISREG(status.st_mode):
            code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
            raise OSError(code, os.strerror(code))
        if status.st_size > _MOST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        raw = b""
        while piece := os.read(descriptor, _MOST):
            raw += piece
        return raw.rstrip(b"\0").decode("utf-8", "surrogateescape")

    def _name(self) -> None:
        directory = self._held()
        try:
            directory.rename(self._fresh, self.path.name)
            directory.sync()
        except OSError as error:
            raise self._failed(error) from error

    def _append(self, values: dict[str, object]) -> None:
        self._append_line(json.dumps(values).encode())

    def _append_line(self, text: bytes) -> None:
        """Append and sync; what is written of a line where that fails is wiped out again."""
        line = text + b"\n"
        try:
            _write_whole(self._descriptor, line, self._end)
            os.fsync(self._descriptor)
        except OSError as error:
            self._wipe(len(line))
            raise self._failed(error) from error
        self._end += len(line)

    def _wipe(self, size: int) -> None:
        try:
            os.pwrite(self._descriptor, bytes(size), self._end)
        except OSError:
            return

    def _failed(self, error: OSError) -> PghotError:
        return PghotError(f"{self.path}: {error.strerror or error}")


def _write_whole(descriptor: int, line: bytes, at: int) -> None:
    if os.pwrite(descriptor, line, at) < len(line):
        raise OSError(errno.ENOSPC, "no room for the journal of changed settings")


def _take(line: str, found: JournalContent) -> None:
    try:
        values = json.loads(line)
        if "boot" in values:
            found.boot = str(values["boot"])
            found.sure = values.get("form", 1) < _FORM
        elif "became" in values:
            _became(values["path"], values["became"], found)
        else:
            check_allowed(values["path"])
            old, new = str(values["old"]), str(values["new"])
            found.entries.append(JournalEntry(values["path"], old, new, sure=found.sure))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found.unreadable.append(line)


def _became(path: str, value: str, found: JournalContent) -> None:
    at = max(i for i, entry in enumerate(found.entries) if entry.path == path)
    entry = found.entries[at]
    found.entries[at] = JournalEntry(path, entry.old, entry.new, str(value))
