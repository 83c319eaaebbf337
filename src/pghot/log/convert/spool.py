"""Rows that wait on disk until something is known that only the last one tells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from pghot.log.arrow import arrow_schema
from pghot.log.schema import Columns


class Spool:
    """A nameless temporary file of rows.  Made by `open_spool`."""

    def __init__(self, stream: Any, columns: tuple[str, ...]) -> None:
        self._stream = stream
        self._schema = arrow_schema(columns)
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        self._writer = pa.ipc.new_stream(stream, self._schema, options=options)

    def write(self, rows: Columns) -> None:
        """Add rows: one array a column."""
        arrays = [
            pa.array(rows[field.name], type=field.type, from_pandas=False)
            for field in self._schema
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def read(self) -> Iterator[Columns]:
        """All rows, once, in order."""
        self._writer.close()
        self._stream.seek(0)
        with pa.ipc.open_stream(self._stream) as reader:
            for batch in reader:
                yield {
                    name: column.to_numpy(zero_copy_only=False)
                    for name, column in zip(self._schema.names, batch.columns, strict=True)
                }


@contextmanager
def open_spool(directory: Path, columns: tuple[str, ...]) -> Iterator[Spool]:
    """Open a spool beside the file that its rows are for, so on a disk with room for them."""
    with tempfile.TemporaryFile(dir=directory) as stream:
        yield Spool(stream, columns)
