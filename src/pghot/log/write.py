"""Writing an access log in chunks: Parquet, CSV or CSV.zst, by the file's name."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pghot.errors import InputError
from pghot.files.directory import Directory
from pghot.files.whole import whole_file
from pghot.log.arrow import arrow_schema
from pghot.log.schema import DTYPES, REQUIRED, Columns, Metadata

ROWS_A_GROUP = 1 << 20
"""Rows kept in memory before they are written; a reader needs room for as many."""

_HAS_ROW_LIMIT = "max_rows_per_page" in signature(pa.parquet.ParquetWriter.__init__).parameters

_PAGES: dict[str, int] = {"data_page_size": 2 << 20}
"""How columns are cut into pages: as many rows in one as a reader asks for at a time.

A page's header is looked at before it is read (`parquet_pages`).  Where Arrow has a limit of rows
it is 20,000 by itself.
"""
if _HAS_ROW_LIMIT:
    _PAGES["max_rows_per_page"] = 1 << 18

_WIDE = ("time_us", "pfn", "vaddr")
"""Columns of 64-bit numbers that differ in few bytes: split by byte and packed with lz4 they
take little room and are read fast (bench/log.py compares ways to store them)."""


class _Sink(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...


class RowWriter(ABC):
    """Takes rows in any number at a time and hands them on in groups of `ROWS_A_GROUP`.

    Rows must come in time order; the caller says so by calling.
    """

    def __init__(self, columns: tuple[str, ...], metadata: Metadata) -> None:
        self.metadata = metadata
        """May be replaced until the log is closed: some of it shows only at the last row."""
        self._schema = arrow_schema(columns)
        self._waiting = {name: np.empty(ROWS_A_GROUP, DTYPES[name]) for name in columns}
        self._filled = 0
        self.rows = 0
        """Rows taken so far."""

    def write(self, rows: Columns) -> None:
        """Add rows: one array a column named when the log was created, equal lengths.

        They are copied, so that a few rows do not keep a large array of the caller's alive.
        """
        count = len(rows["time_us"])
        at = 0
        while at < count:
            taken = min(count - at, ROWS_A_GROUP - self._filled)
            for name, waiting in self._waiting.items():
                waiting[self._filled : self._filled + taken] = rows[name][at : at + taken]
            at += taken
            self._filled += taken
            if self._filled == ROWS_A_GROUP:
                self.flush()
        self.rows += count

    @abstractmethod
    def flush(self) -> None:
        """Hand on what waits."""

    def _batch(self) -> pa.RecordBatch:
        """The rows that wait; they go on waiting."""
        arrays = [pa.array(self._waiting[name][: self._filled]) for name in self._schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


class LogWriter(RowWriter):
    """Writes rows to one file, a group at a time.  Made by `create_log`."""

    def __init__(self, sink: _Sink, columns: tuple[str, ...], metadata: Metadata) -> None:
        super().__init__(columns, metadata)
        self._sink = sink

    def flush(self) -> None:
        """Hand what waits to the file."""
        if not self._filled:
            return
        self._sink.write_batch(self._batch())
        self._filled = 0


@contextmanager
def create_log(
    path: Path | str,
    metadata: Metadata | None = None,
    *,
    optional: tuple[str, ...] = (),
    force: bool = False,
    within: Directory | None = None,
) -> Iterator[LogWriter]:
    """Create an access log; it takes its name only once it is whole.

    `optional` names the optional columns that every `write` will bring.  The suffix
    chooses the form: `.csv`, `.csv.zst`, else Parquet.  CSV has no place for metadata.
    InputError where the file exists (unless `force`) or the directory cannot be written, or,
    as root, others could swap what is in it.  Its owner alone may read it.  `within` is its
    directory where that is held open already.
    """
    path = Path(path)
    columns = log_columns(path, optional)
    with (
        whole_file(path, force=force, within=within) as stream,
        _open_sink(path, stream, columns) as sink,
    ):
        writer = LogWriter(sink, columns, metadata or Metadata())
        yield writer
        writer.flush()
        if isinstance(sink, pa.parquet.ParquetWriter):
            sink.add_key_value_metadata({"pghot": writer.metadata.to_json()})


def log_columns(path: Path, optional: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of a log with these optional ones; InputError where one is unknown."""
    unknown = set(optional) - set(DTYPES)
    if unknown:
        raise InputError(f"{path}: no such log column: {', '.join(sorted(unknown))}")
    return (*REQUIRED, *optional)


@contextmanager
def _open_sink(path: Path, file: BinaryIO, columns: tuple[str, ...]) -> Iterator[_Sink]:
    if path.name.endswith((".csv", ".csv.zst")):
        from pyarrow import csv  # noqa: PLC0415 - no Parquet log needs it

        compression = "zstd" if path.name.endswith(".zst") else None
        with (
            pa.output_stream(_Kept(file), compression=compression) as stream,
            csv.CSVWriter(stream, arrow_schema(columns)) as writer,
        ):
            yield writer
        return
    with open_parquet(file, columns) as writer:
        yield writer


@contextmanager
def open_parquet(stream: BinaryIO, columns: tuple[str, ...]) -> Iterator[pa.parquet.ParquetWriter]:
    """Begin a Parquet file, for batches of a log's rows: small, and soon read."""
    with pa.parquet.ParquetWriter(
        stream,
        arrow_schema(columns),
        compression="lz4",
        use_dictionary=[name for name in columns if name not in _WIDE],
        column_encoding={name: "BYTE_STREAM_SPLIT" for name in columns if name in _WIDE},
        write_page_checksum=True,
        **_PAGES,
    ) as writer:
        yield writer


@contextmanager
def open_part(stream: BinaryIO, columns: tuple[str, ...]) -> Iterator[pa.parquet.ParquetWriter]:
    """Begin a Parquet file that takes little CPU time: it is written while the host works."""
    with pa.parquet.ParquetWriter(
        stream,
        arrow_schema(columns),
        compression="none",
        use_dictionary=False,
        column_encoding={
            name: "DELTA_BINARY_PACKED" for name in columns if DTYPES[name] is not np.bool_
        },
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        yield writer


class _Kept(io.RawIOBase):
    """A stream that Arrow may close without closing the file: it is yet to be put on disk."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self._stream.write(data)
