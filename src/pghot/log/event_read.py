"""Reading an event log, part by part, also while it is being written or after a crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet

from pghot.errors import InputError
from pghot.files.bounded import check_table
from pghot.files.parquet_pages import check_pages
from pghot.log.event_parts import PART, file_name
from pghot.log.event_schema import ACCESSES, CANDIDATES, COLUMNS, KEY, ROWS_A_PART, Said

Wanted = Mapping[str, Sequence[str]]
"""Columns by table."""

ALL: Wanted = {name: tuple(columns) for name, columns in COLUMNS.items()}


class Part(NamedTuple):
    """One part: its number, what it says of itself, its tables (`event_schema.COLUMNS`)."""

    number: int
    said: Said
    accesses: pa.Table
    candidates: pa.Table


class EventReader:
    """The parts of a directory, oldest first.  Read `parts` to the end, then ask the rest.

    `said` is what the last part says; `complete_from` the jiffies from which on nothing is
    missing but what was in damaged parts; `damaged` the numbers of those.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.said: Said | None = None
        self.complete_from = 0
        self.damaged: list[int] = []
        self._numbers = _numbers(self.path)

    def parts(self, columns: Wanted = ALL) -> Iterator[Part]:
        """Every part that can be read, with these columns; InputError where none can."""
        self.said = None
        self.damaged = []
        for number in self._numbers:
            part = self.part(number, columns)
            if part is None:
                continue
            if self.said is None:
                whole = number == 1 or self.damaged[:1] == [1]
                self.complete_from = 0 if whole else part.said.start
            self.said = part.said
            yield part
        if self.said is None:
            raise InputError(f"{self.path}: no part of this event log can be read")

    def part(self, number: int, columns: Wanted = ALL) -> Part | None:
        """One part; None where it is gone or damaged."""
        try:
            accesses, candidates = (
                _table(self.path / file_name(name, number), list(columns[name]))
                for name in (ACCESSES, CANDIDATES)
            )
            said = Said.from_json(candidates.schema.metadata[KEY])
        except FileNotFoundError:
            return None  # dropped since, to make room
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, InputError):
            self.damaged.append(number)
            return None
        named = ((accesses, ACCESSES), (candidates, CANDIDATES))
        if any(set(columns[name]) - set(table.column_names) for table, name in named):
            self.damaged.append(number)
            return None
        return Part(number, said, accesses, candidates)


def _table(path: Path, columns: list[str]) -> pa.Table:
    """Read a table of a part; InputError where it has more than a part can have."""
    with path.open("rb") as stream:
        file = pa.parquet.ParquetFile(stream, page_checksum_verification=True)
        check_table(path, file.metadata, ROWS_A_PART)
        check_pages(path, stream, file.metadata, columns)
        return file.read(columns, use_threads=False)


def _numbers(path: Path) -> list[int]:
    """The numbers of the parts in a directory."""
    try:
        names = [PART.fullmatch(entry.name) for entry in path.iterdir()]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    numbers = sorted(int(name[2]) for name in names if name and name[1] == CANDIDATES)
    if not numbers:
        raise InputError(
            f"{path}: holds no event log (pghot run, replay and sim write one with --events)"
        )
    return numbers
