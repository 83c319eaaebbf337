"""Files of other people: what they may make us read into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pghot.errors import InputError

MOST_TEXT = 64 << 20
"""Bytes of a file of JSON; a result's largest, of 16 policies, has a few MB."""

MOST_MEMORY = 256 << 20
"""Bytes of a group of rows of a table, inflated."""

MOST_ROWS = 1 << 23
"""Rows of a table that is read at once."""


def read_bounded(path: Path, most: int = MOST_TEXT) -> bytes:
    """Content of a file of `most` bytes at the most; InputError where it is longer."""
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise InputError(f"{path}: over {most >> 20} MiB; what pghot writes is smaller")
    return content


@contextmanager
def bounded_memory(path: Path) -> Iterator[None]:
    """Turn a MemoryError into an InputError, one line that says what takes the memory."""
    try:
        yield
    except MemoryError as error:
        raise InputError(f"{path}: takes more memory than there is here") from error


def check_table(path: Path, metadata: Any, rows: int = MOST_ROWS) -> None:
    """Refuse a Parquet file by its footer, before a page is read; InputError.

    `metadata` is pyarrow's FileMetaData.
    """
    if metadata.num_rows > rows:
        raise InputError(f"{path}: over {rows:,} rows; what pghot writes has fewer")
    for number in range(metadata.num_row_groups):
        if metadata.row_group(number).total_byte_size > MOST_MEMORY:
            raise InputError(f"{path}: inflates to over {MOST_MEMORY >> 20} MiB at once")
