"""The directory of an event log: numbered parts of two files each, the oldest dropped.

`accesses-000001.parquet` and `candidates-000001.parquet` are part 1.  The second comes last:
a part without it is none.  Names appear when their files are whole.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from pghot.errors import InputError, PghotError
from pghot.files.directory import Directory, open_directory
from pghot.log.event_schema import ACCESSES, CANDIDATES

PART = re.compile(rf"({ACCESSES}|{CANDIDATES})-([0-9]{{6,}})\.parquet")
"""The name of a file of a part."""

LEAST_LIMIT = 1 << 20
DEFAULT_LIMIT = 256 << 20
_WIDE = ("pfn", "vaddr")
_RISING = ("seq", "now")
_UNFINISHED = ".unfinished"


def file_name(table: str, number: int) -> str:
    """The name of a part's file."""
    return f"{table}-{number:06}.parquet"


class EventParts:
    """Parts on disk, `limit` bytes at the most.  Made by `event_parts`."""

    def __init__(self, directory: Directory, limit: int) -> None:
        self.directory = directory.path
        self._directory = directory
        self.limit = limit
        self._number = 1
        self._sizes: dict[int, int] = {}

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(self._sizes.values())

    def add(self, accesses: pa.Table, candidates: pa.Table) -> None:
        """Write a part, the oldest ones making room for it; PghotError where that fails.

        Not synced: what a power failure leaves half-written is left out by the reader.
        """
        files = {ACCESSES: _encoded(accesses), CANDIDATES: _encoded(candidates)}
        size = sum(map(len, files.values()))
        try:
            while self._sizes and self.size + size > self.limit:
                self._drop(min(self._sizes))
            for table, content in files.items():
                self._write(file_name(table, self._number), content)
        except OSError as error:
            raise PghotError(f"{self.directory}: cannot be written: {error.strerror}") from error
        self._sizes[self._number] = size
        self._number += 1

    def _drop(self, number: int) -> None:
        for table in (CANDIDATES, ACCESSES):  # the one that makes it a part goes first
            self._directory.unlink(file_name(table, number))
        del self._sizes[number]

    def _write(self, name: str, content: bytes) -> None:
        self._directory.unlink(_UNFINISHED)
        with self._directory.fresh(_UNFINISHED) as stream:
            stream.write(content)
            stream.flush()
        self._directory.rename(_UNFINISHED, name)


@contextmanager
def event_parts(path: Path, limit: int, *, force: bool = False) -> Iterator[EventParts]:
    """Make a directory that its owner alone can read, and keep other logs out of it.

    InputError, before anything is written, where it is not empty (`force`: the parts of an
    earlier log are removed), cannot be made, `limit` is too small, or, as root, others could
    swap what is in it.
    """
    if limit < LEAST_LIMIT:
        raise InputError("--events-limit: wants 1MiB or more")
    with ExitStack() as stack:
        parent, directory = _enter(path, stack)
        try:
            directory.lock()
        except BlockingIOError as error:
            raise InputError(f"{path}: another pghot writes its events there") from error
        try:
            _clear(directory, force=force)
            yield EventParts(directory, limit)
        finally:
            with suppress(OSError):
                directory.unlink(_UNFINISHED)
            if parent is not None:
                with suppress(OSError):
                    parent.remove_directory(path.name)  # nothing happened that could be told


def _enter(path: Path, stack: ExitStack) -> tuple[Directory | None, Directory]:
    """The directory `path`, and the one that holds it where `path` was made now."""
    try:
        parent = stack.enter_context(open_directory(path.parent))
        try:
            parent.make(path.name)
        except OSError as error:
            if not path.is_dir():
                raise
            del error
            return None, stack.enter_context(open_directory(path))
        return parent, stack.enter_context(parent.below(path.name))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r}: cannot be made: {why}") from error


def _clear(directory: Directory, *, force: bool) -> None:
    """See that the directory is empty, or has no more than what may be removed."""
    path = directory.path
    try:
        found = [name for name in directory.names() if name != _UNFINISHED]
        others = [name for name in found if not PART.fullmatch(name)]
        if others or (found and not force):
            more = "" if others else ", or give --force to lose the events in it"
            raise InputError(f"{path}: is not empty; choose another --events{more}")
        for name in sorted(found, reverse=True):
            directory.unlink(name)
        os.fchmod(directory.descriptor, 0o700)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    names = table.column_names
    encoding = {name: "BYTE_STREAM_SPLIT" for name in names if name in _WIDE}
    encoding |= {name: "DELTA_BINARY_PACKED" for name in names if name in _RISING}
    pa.parquet.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in names if name not in encoding],
        column_encoding=encoding,
        write_page_checksum=True,
    )
    content: bytes = sink.getvalue().to_pybytes()
    return content
