"""Recordings that survive a crash: an access log written in parts, each a whole file.

Parquet's footer comes last, so a log that is written for hours would be lost with its
writer.  A live recording therefore writes `LOG.parts/000001.parquet`, `000002.parquet`,
..., and at its end merges them into LOG.  `open_log` reads the directory as one log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

from pghot.errors import InputError, PghotError
from pghot.files.directory import Directory, open_directory
from pghot.files.whole import refuse_existing
from pghot.log.read import PART, PARTS_SUFFIX, open_log, part_name
from pghot.log.regions import MappedRegion, with_regions
from pghot.log.schema import REQUIRED, Metadata
from pghot.log.write import RowWriter, create_log, log_columns, open_part

Progress = Callable[[int], None]


class PartsWriter(RowWriter):
    """Writes rows to parts of a recording.  Made by `create_parts`.

    Rows become safe when their part ends: at `end_part`, and after `ROWS_A_GROUP` rows.
    """

    def __init__(self, directory: Directory, columns: tuple[str, ...], metadata: Metadata) -> None:
        super().__init__(columns, metadata)
        self._directory = directory
        self.directory = directory.path
        self.failure: PghotError | None = None
        """Why the last part could not be written, if so."""
        self.rows_in_parts = 0
        """Rows that are safe: those of the parts that have ended."""
        self._columns = columns
        self._answers: list[str] = []
        self._regions: list[MappedRegion] = []
        self._number = 1
        self._said: Metadata | None = None

    def add_tape(self, text: str) -> None:
        """Keep an opaque piece of text with the part at hand."""
        self._answers.append(text)

    def add_regions(self, regions: Sequence[MappedRegion]) -> None:
        """Keep mappings that are not in an earlier part with the part at hand."""
        self._regions += regions

    def end_part(self) -> None:
        """End the part at hand: whole, on disk, with the metadata of this moment.

        Does nothing where no rows, answers or mappings have come since the last.  PghotError where
        it cannot be written; nothing more is recorded then.
        """
        if self._filled or self._answers or self._regions:
            self._write_part()

    def flush(self) -> None:
        """End the part at hand; as many rows wait as a part holds."""
        self.end_part()

    def end_last_part(self) -> None:
        """End the part at hand, and see that the last metadata is in the last part."""
        if self._filled or self._answers or self._regions or self.metadata != self._said:
            self._write_part()

    @property
    def has_rows(self) -> bool:
        """Whether anything was recorded."""
        return bool(self.rows_in_parts or self._filled)

    def _write_part(self) -> None:
        name = part_name(self._number)
        said = self.metadata
        filled = self._filled
        try:
            # Over what is there: Ctrl-C between the file's new name and the lines below has the
            # same rows written once more, under the same number.
            with (
                self._directory.draft(name) as stream,
                open_part(stream, self._columns) as sink,
            ):
                sink.write_batch(self._batch())
                text = with_regions(said.with_answers(self._answers), self._regions).to_json()
                sink.add_key_value_metadata({"pghot": text})
        except OSError as error:
            why = error.strerror or error
            self.failure = PghotError(f"{self.directory / name}: cannot be written: {why}")
            raise self.failure from error
        in_parts = self.rows_in_parts + filled
        number = self._number + 1
        # No call among these lines: a signal's handler runs before all of them or after.
        self.rows_in_parts = in_parts
        self._number = number
        self._said = said
        self._filled = 0
        self._answers = []
        self._regions = []


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
    exist (unless `force`) or cannot be written, or, as root, others could swap what is there.
    PghotError where the disk is full or the merging is stopped: the parts stay, and it says
    where.
    """
    path = Path(path)
    columns = log_columns(path, optional)
    _refuse(path)
    with _parts_directory(path, force=force) as place:
        writer = PartsWriter(place.parts, columns, metadata or Metadata())
        try:
            yield writer
        except BaseException as stop:
            if writer.failure is not None and writer.rows_in_parts:
                raise _left(place, str(writer.failure)) from stop
            if writer.failure is None and writer.has_rows:
                _finish(writer, place, force=force, progress=progress)
            else:
                place.remove()
            raise
        if writer.failure is not None:
            _give_up(writer, place)
        _finish(writer, place, force=force, progress=progress)


def merge_parts(
    directory: Path | str,
    path: Path | str,
    *,
    force: bool = False,
    progress: Progress | None = None,
    within: Directory | None = None,
) -> int:
    """Merge a recording's parts into the log `path` and give its rows; the parts stay.

    A chunk of rows is in memory at a time.  InputError where a part is corrupt, or `path`
    exists (unless `force`); PghotError where it cannot be written.  `within` is the directory
    of `path` where that is held open already.
    """
    with open_log(directory) as log:
        optional = tuple(name for name in log.columns if name not in REQUIRED)
        with create_log(
            path, log.metadata, optional=optional, force=force, within=within
        ) as merged:
            for chunk in log.chunks(log.columns):
                merged.write(chunk.columns)
                if progress:
                    progress(merged.rows)
    return merged.rows


class _Place(NamedTuple):
    """Where a recording goes: its log, the log's directory, and in that the parts' own."""

    path: Path
    parent: Directory
    parts: Directory

    def remove(self) -> None:
        """Remove the parts."""
        _remove(self.parent, self.parts)


def _finish(writer: PartsWriter, place: _Place, *, force: bool, progress: Progress | None) -> None:
    """Merge and remove the parts, or say where they are."""
    path = place.path
    try:
        writer.end_last_part()
        rows = merge_parts(
            writer.directory, path, force=force, progress=progress, within=place.parent
        )
    except PghotError as error:
        if not writer.rows_in_parts:
            place.remove()
            raise
        raise _left(place, str(error)) from error
    except (KeyboardInterrupt, SystemExit) as stop:
        raise _left(place, f"{path}: stopped before it was whole") from stop
    if rows != writer.rows_in_parts:
        missing = writer.rows_in_parts - rows
        raise _left(place, f"{path}: {missing} rows recorded could not be read back")
    place.remove()


def _give_up(writer: PartsWriter, place: _Place) -> NoReturn:
    """Raise the failure that ended a recording early, and name what is left of it."""
    if writer.rows_in_parts:
        raise _left(place, str(writer.failure)) from writer.failure
    place.remove()
    raise writer.failure or PghotError(f"{place.path}: nothing was recorded")


def _left(place: _Place, why: str) -> PghotError:
    directory = place.parts.path
    return PghotError(f"{why}; what was recorded is in {directory}: pghot replay {directory}")


def _refuse(path: Path) -> None:
    if path.name.endswith((".csv", ".csv.zst")):
        raise InputError(f"{path}: live recordings are Parquet; choose a name without .csv")
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)!r}: cannot be written: {why}") from error


@contextmanager
def _parts_directory(path: Path, *, force: bool) -> Iterator[_Place]:
    """Make the directory for a log's parts and keep other recordings out of it."""
    directory = path.with_name(path.name + PARTS_SUFFIX)
    with ExitStack() as stack:
        try:
            parent = stack.enter_context(open_directory(path.parent))
            refuse_existing(parent, path, force=force)
            if force and parent.status(directory.name) is not None:
                _remove_left(parent, directory)
            parent.make(directory.name)
            parts = stack.enter_context(parent.below(directory.name))
            parts.path = directory
            parent.path = path.parent
            _lock(parts)
            parent.sync()
        except FileExistsError as error:
            raise InputError(
                f"{directory}: a recording was left here: pghot replay {directory} reads it; "
                "move it away, or give --force to lose it"
            ) from error
        except OSError as error:
            raise InputError(f"{directory}: cannot be written: {error.strerror}") from error
        yield _Place(path, parent, parts)


def _remove_left(parent: Directory, directory: Path) -> None:
    """Remove the parts of an earlier recording, and only what can be such."""
    try:
        parts = parent.below(directory.name)
    except OSError:
        raise InputError(
            f"{directory}: is in the way, and no directory of a recording's parts"
        ) from None
    with parts:
        for name in parts.names():
            if not PART.fullmatch(name) and not name.startswith("."):
                raise InputError(f"{directory}: holds {name}, which is no part of a recording")
        _lock(parts)
        _remove(parent, parts)


def _lock(parts: Directory) -> None:
    """Keep a recording that is under way from being removed by --force."""
    try:
        parts.lock()
    except BlockingIOError as error:
        raise InputError(f"{parts.path}: another recording is writing here") from error
    except OSError:
        return  # some network file systems lock no directories


def _remove(parent: Directory, parts: Directory) -> None:
    """Remove a directory of parts; its name goes first, so that no half of it is ever read."""
    name = parts.path.name
    hidden = f".{name}.{secrets.token_hex(4)}"
    try:
        parent.rename(name, hidden)
        parent.remove_held(hidden, parts)
    except OSError as error:
        raise PghotError(f"{parts.path}: cannot be removed: {error.strerror or error}") from error
