"""The journal of changed settings: on disk before the host is touched, gone once all is back.

A file of JSON lines.  The first says which boot it belongs to; every other one is a change
about to be made (`old`, `new`), or how a change read back where that differs (`became`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pghot.errors import PghotError
from pghot.linux.settings import check_allowed, same_value


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: `new` was to be written over `old`; `became` is what it then read as."""

    path: str
    old: str
    new: str
    became: str | None = None

    def left(self, value: str) -> bool:
        """Tell whether `value` is what this change left."""
        return same_value(value, self.new if self.became is None else self.became)


@dataclass(slots=True)
class Found:
    """What a journal holds; `unreadable` are whole lines that are no entries."""

    entries: list[Entry] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    boot: str = ""


class Journal:
    """The file; OSError comes out as PghotError with one line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, boot: str) -> None:
        """Make the file; `boot` is the kernel's boot_id, as a reboot undoes all changes."""
        self._append({"boot": boot}, os.O_CREAT | os.O_EXCL)
        self._sync_directory()

    def change(self, path: str, old: str, new: str) -> None:
        """Write down a change, safe on disk at return; only then may it be made."""
        self._append({"path": path, "old": old, "new": new})

    def became(self, path: str, value: str) -> None:
        """Write down that the last change of `path` reads back as `value`."""
        self._append({"path": path, "became": value})

    def read(self) -> Found | None:
        """Give what the file holds, or None where there is none.

        A last line that is not whole was torn by a crash: its change was not yet made.
        """
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PghotError(f"{self.path}: {error.strerror or error}") from error
        found = Found()
        for line in text.split("\n")[:-1]:
            _take(line, found)
        return found

    def delete(self) -> None:
        """Remove the file."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise PghotError(f"{self.path}: {error.strerror or error}") from error
        self._sync_directory()

    def replace(self, entries: list[Entry], boot: str) -> None:
        """Keep only these entries, in one step."""
        other = Journal(self.path.with_suffix(".new"))
        other.delete()
        other.begin(boot)
        for entry in entries:
            other.change(entry.path, entry.old, entry.new)
            if entry.became is not None:
                other.became(entry.path, entry.became)
        other.path.replace(self.path)
        self._sync_directory()

    def _append(self, values: dict[str, str], flags: int = 0) -> None:
        line = json.dumps(values).encode() + b"\n"
        flags |= os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise PghotError(f"{self.path}: {error.strerror or error}") from error
        try:
            _append_whole(descriptor, line)
        except OSError as error:
            raise PghotError(f"{self.path}: {error.strerror or error}") from error
        finally:
            os.close(descriptor)

    def _sync_directory(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _append_whole(descriptor: int, line: bytes) -> None:
    """Append and sync; what a full disk leaves of a line is cut off again."""
    end = os.fstat(descriptor).st_size
    try:
        _write_whole(descriptor, line)
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def _write_whole(descriptor: int, line: bytes) -> None:
    if os.write(descriptor, line) < len(line):
        raise OSError(errno.ENOSPC, "no room for the journal of changed settings")


def _take(line: str, found: Found) -> None:
    try:
        values = json.loads(line)
        if "boot" in values:
            found.boot = str(values["boot"])
        elif "became" in values:
            _became(values["path"], values["became"], found)
        else:
            check_allowed(values["path"])
            found.entries.append(Entry(values["path"], str(values["old"]), str(values["new"])))
    except (ValueError, KeyError, TypeError, AttributeError):
        found.unreadable.append(line)


def _became(path: str, value: str, found: Found) -> None:
    at = max(i for i, entry in enumerate(found.entries) if entry.path == path)
    entry = found.entries[at]
    found.entries[at] = Entry(path, entry.old, entry.new, str(value))
