"""A sweep's directory: every point that has run, kept as it ends, by its name.

`points.jsonl` has a line a point and is only ever added to, so that a sweep that is killed
loses at most the line it was writing.  `sweep.parquet` is made of it at the end.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from io import RawIOBase
from pathlib import Path
from typing import Any

from pghot.errors import InputError, PghotError
from pghot.files.whole import SHARED, whole_file

POINTS, TABLE, GRID = "points.jsonl", "sweep.parquet", "grid.json"

Row = dict[str, Any]


class PointStore:
    """The rows of a directory, or of none (`path` None: in memory alone)."""

    def __init__(self, path: Path | None, stream: RawIOBase | None) -> None:
        self.path = path
        self._stream = stream
        self.rows: dict[str, Row] = {}
        if path is not None:
            self.rows = read_rows(path)

    def add(self, row: Row) -> None:
        """Keep a row; PghotError where the disk is full, those before it stay."""
        if self._stream is not None:
            line = json.dumps(row).encode() + b"\n"
            why = ""
            try:
                if self._stream.write(line) != len(line):  # raw: what did not fit is left out
                    why = os.strerror(ENOSPC)
            except OSError as error:
                why = error.strerror or str(error)
            if why:
                raise PghotError(
                    f"{self.path}: cannot be written: {why}; the points that have ended are kept"
                )
        self.rows[row["key"]] = row


@contextmanager
def open_store(path: Path | None) -> Iterator[PointStore]:
    """Hold a directory for one sweep; InputError where another writes there."""
    if path is None:
        yield PointStore(None, None)
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_other(path)
        stream = (path / POINTS).open("ab", buffering=0)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{path}: another sweep is writing there; wait for it or choose another -o"
            ) from None
        _end_line(stream, path / POINTS)
        yield PointStore(path, stream)


def read_rows(path: Path) -> dict[str, Row]:
    """The rows of a directory by their names; a line that is not whole is passed over."""
    rows: dict[str, Row] = {}
    try:
        with (path / POINTS).open("rb") as stream:
            for line in stream:
                row = _row(line)
                if row is not None:
                    rows[row["key"]] = row
    except OSError as error:
        raise InputError(f"{path / POINTS}: {error.strerror}") from error
    return rows


def write_grid(path: Path, about: Row) -> None:
    """Write down what a directory's sweep is of, and its points by number."""
    with whole_file(path / GRID, force=True, mode=SHARED) as stream:
        stream.write(json.dumps(about).encode() + b"\n")


def read_grid(path: Path) -> Row:
    """Read it back; InputError where the directory is no sweep's."""
    try:
        about = json.loads((path / GRID).read_bytes())
        return {
            "id": str(about["id"]),
            "points": int(about["points"]),
            "keys": {int(number): str(key) for number, key in about["keys"].items()},
        }
    except OSError as error:
        raise InputError(f"{path}: no directory of pghot sweep: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path / GRID}: not what pghot sweep writes: {error}") from error


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("key"), str) else None


def _refuse_other(path: Path) -> None:
    """Refuse a directory that holds other things than a sweep."""
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    if names and POINTS not in names:
        raise InputError(f"{path}: is not empty, and no sweep's; choose another -o")


def _end_line(stream: Any, path: Path) -> None:
    """Have what a killed sweep left of a line be a line of its own."""
    size = os.fstat(stream.fileno()).st_size
    if size:
        with path.open("rb") as reader:
            reader.seek(size - 1)
            if reader.read(1) != b"\n":
                stream.write(b"\n")
