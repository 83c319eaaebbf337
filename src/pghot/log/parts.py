"""Recordings that survive a crash: an access log written in parts, each a whole file.

Parquet's footer comes last, so a log that is written for hours would be lost with its
writer.  A live recording therefore writes `LOG.parts/000001.parquet`, `000002.parquet`,
..., and at its end merges them into LOG.  `open_log` reads the directory as one log.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pghot.errors import InputError, PghotError
from pghot.log.atomic import whole_file
from pghot.log.read import PART, PARTS_SUFFIX, open_log, part_name
from pghot.log.schema import REQUIRED, Metadata
from pghot.log.write import RowWriter, create_log, log_columns, open_parquet

Progress = Callable[[int], None]


class PartsWriter(RowWriter):
    """Writes rows to parts of a recording.  Made by `create_parts`.

    Rows become safe when their part ends: at `end_part`, and after `ROWS_A_GROUP` rows.
    """

    def __init__(self, directory: Path, columns: tuple[str, ...], metadata: Metadata) -> None:
        super().__init__(columns, metadata)
        self.directory = directory
        self.failure: PghotError | None = None
        """Why the last part could not be written, if so."""
        self.rows_in_parts = 0
        """Rows that are safe: those of the parts that have ended."""
        self._columns = columns
        self._tape: list[str] = []
        self._number = 1
        self._said: Metadata | None = None

    def add_tape(self, text: str) -> None:
        """Keep an opaque piece of text with the part at hand."""
        self._tape.append(text)

    def end_part(self) -> None:
        """End the part at hand: whole, on disk, with the metadata of this moment.

        Does nothing where neither rows nor tape have come since the last.  PghotError where
        it cannot be written; nothing more is recorded then.
        """
        if self._filled or self._tape:
            self._write_part()

    def flush(self) -> None:
        """End the part at hand; as many rows wait as a part holds."""
        self.end_part()

    def end_last_part(self) -> None:
        """End the part at hand, and see that the last metadata is in the last part."""
        if self._filled or self._tape or self.metadata != self._said:
            self._write_part()

    @property
    def has_rows(self) -> bool:
        """Whether anything was recorded."""
        return bool(self.rows_in_parts or self._filled)

    def _write_part(self) -> None:
        part = self.directory / part_name(self._number)
        said = self.metadata
        filled = self._filled
        try:
            # By force: Ctrl-C between the file's new name and the lines below has the same
            # rows written once more, under the same number.
            with (
                whole_file(part, force=True) as partial,
                open_parquet(partial, self._columns) as sink,
            ):
                sink.write_batch(self._batch())
                text = said.with_tape(self._tape).to_json()
                sink.add_key_value_metadata({"pghot": text})
            _sync(self.directory)
        except PghotError as error:
            self.failure = error
            raise
        in_parts = self.rows_in_parts + filled
        number = self._number + 1
        # No call among these lines: a signal's handler runs before all of them or after.
        self.rows_in_parts = in_parts
        self._number = number
        self._said = said
        self._filled = 0
        self._tape = []


@contextmanager
def create_parts(
    path: Path | str,
    metadata: Metadata | None = None,
    *,
    optional: tuple[str, ...] = (),
    force: bool = False,
    progress: Progress | None = None,
) -> Iterator[PartsWriter]:
    """Record an access log in parts, beside `path` in `path`.parts; merge them at the end.

    As `create_log`, but for Parquet alone.  The parts are merged after an exception too (a
    recording that was stopped is one), unless there are no rows.  `progress` is told the
    rows merged so far.  InputError, before anything is recorded, where the log or its parts
    exist (unless `force`) or cannot be written.  PghotError where the disk is full or the
    merging is stopped: the parts stay, and it says where.
    """
    path = Path(path)
    columns = log_columns(path, optional)
    _refuse(path, force=force)
    with _parts_directory(path, force=force) as directory:
        writer = PartsWriter(directory, columns, metadata or Metadata())
        try:
            yield writer
        except BaseException as stop:
            if writer.failure is not None and writer.rows_in_parts:
                raise _left(directory, str(writer.failure)) from stop
            if writer.failure is None and writer.has_rows:
                _finish(writer, path, force=force, progress=progress)
            else:
                _remove(directory)
            raise
        _finish(writer, path, force=force, progress=progress)


def merge_parts(
    directory: Path | str,
    path: Path | str,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> int:
    """Merge a recording's parts into the log `path` and give its rows; the parts stay.

    A chunk of rows is in memory at a time.  InputError where a part is corrupt, or `path`
    exists (unless `force`); PghotError where it cannot be written.
    """
    with open_log(directory) as log:
        optional = tuple(name for name in log.columns if name not in REQUIRED)
        with create_log(path, log.metadata, optional=optional, force=force) as merged:
            for chunk in log.chunks(log.columns):
                merged.write(chunk.columns)
                if progress:
                    progress(merged.rows)
    return merged.rows


def _finish(writer: PartsWriter, path: Path, *, force: bool, progress: Progress | None) -> None:
    """Merge and remove the parts, or say where they are."""
    try:
        writer.end_last_part()
        rows = merge_parts(writer.directory, path, force=force, progress=progress)
        _sync(path.parent)
    except PghotError as error:
        if not writer.rows_in_parts:
            _remove(writer.directory)
            raise
        raise _left(writer.directory, str(error)) from error
    except (KeyboardInterrupt, SystemExit) as stop:
        raise _left(writer.directory, f"{path}: stopped before it was whole") from stop
    if rows != writer.rows_in_parts:
        missing = writer.rows_in_parts - rows
        raise _left(writer.directory, f"{path}: {missing} rows recorded could not be read back")
    _remove(writer.directory)


def _left(directory: Path, why: str) -> PghotError:
    return PghotError(f"{why}; what was recorded is in {directory}: pghot replay {directory}")


def _refuse(path: Path, *, force: bool) -> None:
    if path.name.endswith((".csv", ".csv.zst")):
        raise InputError(f"{path}: live recordings are Parquet; choose a name without .csv")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory")
        if path.exists() and not force:
            raise InputError(f"{path}: exists already; choose another name or give --force")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error


@contextmanager
def _parts_directory(path: Path, *, force: bool) -> Iterator[Path]:
    """Make the directory for a log's parts and keep other recordings out of it."""
    directory = path.with_name(path.name + PARTS_SUFFIX)
    try:
        if force and os.path.lexists(directory):
            _remove_left(directory)
        directory.mkdir()
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileExistsError as error:
        raise InputError(
            f"{directory}: a recording was left here: pghot replay {directory} reads it; "
            "move it away, or give --force to lose it"
        ) from error
    except OSError as error:
        raise InputError(f"{directory}: cannot be written: {error.strerror}") from error
    try:
        _lock(handle, directory)
        _sync(path.parent)
        yield directory
    finally:
        os.close(handle)


def _remove_left(directory: Path) -> None:
    """Remove the parts of an earlier recording, and only what can be such."""
    if directory.is_symlink() or not directory.is_dir():
        raise InputError(f"{directory}: is in the way, and no directory of a recording's parts")
    for entry in directory.iterdir():
        if not PART.fullmatch(entry.name) and not entry.name.startswith("."):
            raise InputError(f"{directory}: holds {entry.name}, which is no part of a recording")
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, directory)
        _remove(directory)
    finally:
        os.close(handle)


def _lock(handle: int, directory: Path) -> None:
    """Keep a recording that is under way from being removed by --force."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{directory}: another recording is writing here") from error
    except OSError:
        return  # some network file systems lock no directories


def _remove(directory: Path) -> None:
    """Remove a directory of parts; its name goes first, so that no half of it is ever read."""
    try:
        hidden = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
        shutil.rmtree(directory.rename(hidden))
    except OSError as error:
        raise PghotError(f"{directory}: cannot be removed: {error.strerror or error}") from error


def _sync(directory: Path) -> None:
    """Put a directory's names on disk."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise PghotError(f"{directory}: cannot be written: {error.strerror}") from error
