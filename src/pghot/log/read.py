"""Reading an access log in chunks: Parquet, CSV or CSV.zst (R7).

Columns come out with the types of `schema`, and with a mark for every row in which some
value is missing or cannot be one; `check` turns marks into errors or counts them.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from pghot.errors import InputError
from pghot.files.parquet_pages import check_pages
from pghot.log.file_kinds import named_kind
from pghot.log.regions import MappedRegion, regions_of, with_regions
from pghot.log.schema import DTYPES, REQUIRED, SOURCES, Columns, Metadata

ROWS_A_CHUNK = 1 << 18
"""Rows handed out at a time; small enough to stay in the processor's caches."""

CSV_BLOCK = 4 << 20
"""Bytes of CSV read at a time."""

PARTS_SUFFIX = ".parts"
"""What a directory's name ends with in which a recording keeps its parts."""

PART = re.compile(r"[0-9]{6,}\.parquet")
"""The name of a part."""

U64_MAX = (1 << 64) - 1
_LOOK = 4096
_BUFFER = 1 << 20
_ARROW_ERRORS = (pa.ArrowException, OSError, MemoryError, OverflowError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a log: `columns` by name, and why values are bad, column by column.

    `bad` maps a column to a bool array, True where the row's value is missing or not of the
    column's type; columns without bad values are not in it.  `first_row` counts from 1.
    """

    columns: Columns
    bad: dict[str, npt.NDArray[np.bool_]]
    first_row: int

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Log:
    """An open access log.  Made by `open_log`."""

    def __init__(self, path: Path, form: _FileFormat) -> None:
        self.path = path
        self._form = form
        self.metadata = form.metadata
        """What the log says of itself; None for CSV and for files that say nothing."""
        self.rows = form.rows
        """Rows in the file; None where only reading them would tell (CSV)."""
        self.columns = form.columns
        """Names of the columns that the contract knows, in its order."""
        self.ragged = form.ragged
        """Numbers of the CSV rows met so far that have too few or too many values; they are
        left out of the chunks."""

    def chunks(self, columns: tuple[str, ...] = tuple(REQUIRED)) -> Iterator[Chunk]:
        """Read through the log; `columns` names what is wanted and there.

        InputError where the file turns out to be truncated or corrupt.
        """
        row = 1
        for batch in self._batches(columns):
            for start in range(0, batch.num_rows, ROWS_A_CHUNK):
                piece = batch.slice(start, ROWS_A_CHUNK)
                chunk = self._chunk(piece, row)
                row += len(chunk)
                yield chunk

    def last_us(self) -> int | None:
        """The time of the last row, by the least reading; None where it says none.

        InputError where the log turns out to be truncated or corrupt.
        """
        with _reading(self.path):
            return self._form.last_us()

    def _batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        with _reading(self.path):
            yield from self._form.batches(columns)

    def _chunk(self, batch: pa.RecordBatch, first_row: int) -> Chunk:
        columns: Columns = {}
        bad = {}
        for name in batch.schema.names:
            try:
                values, wrong = _values(name, batch.column(name))
            except _ARROW_ERRORS as error:
                raise InputError(
                    f"{self.path}: column {name}: truncated or corrupt: {one_line(error)}"
                ) from error
            except TypeError as error:
                raise InputError(f"{self.path}: column {name}: {error}") from error
            if name == "nr" and not values.all():  # no access at all is no row
                wrong = values == 0 if wrong is None else wrong | (values == 0)
            values = values.view()
            values.flags.writeable = False
            columns[name] = values
            if wrong is not None and wrong.any():
                bad[name] = wrong
        return Chunk(columns, bad, first_row)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong in a file's rows into one line that names the file."""
    try:
        yield
    except pa.ArrowCancelled:  # pyarrow's way of passing on Ctrl-C
        raise KeyboardInterrupt from None
    except _ARROW_ERRORS as error:
        raise InputError(f"{path}: truncated or corrupt: {one_line(error)}") from error


class _FileFormat(Protocol):
    """A file format: where rows come from."""

    metadata: Metadata | None
    rows: int | None
    columns: tuple[str, ...]
    ragged: list[int]

    def batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]: ...
    def last_us(self) -> int | None: ...


@contextmanager
def open_log(path: Path | str) -> Iterator[Log]:
    """Open an access log by its content and name.

    A directory of a recording's parts (`parts`) is one log.  InputError, one line, where it
    cannot be read, lacks a column, or is truncated.
    """
    path = Path(path)
    with ExitStack() as stack:
        try:
            form = _parts_in(path) or _form_of(path, stack.enter_context(path.open("rb")))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or one_line(error)}") from error
        for name in REQUIRED:
            if name not in form.columns:
                raise InputError(f"{path}: column {name} is missing")
        yield Log(path, form)


def _form_of(path: Path, stream: BinaryIO) -> _FileFormat:
    head = stream.read(_LOOK)
    stream.seek(0)
    parquet = head.startswith(b"PAR1")
    if path.name.endswith((".csv", ".csv.zst")) and not parquet:
        return _Csv(path)
    if head and not parquet:
        kind = named_kind(head)
        what = f"is {kind}, and no access log" if kind else "is no access log in Parquet"
        raise InputError(f"{path}: {what}; pghot convert makes one of other tools' traces")
    return _Parquet(path, stream)


def _parts_in(path: Path) -> _FileFormat | None:
    """The log that a directory's parts make; None for what is no directory of parts."""
    if not path.is_dir():
        return None
    parts = {int(name.stem): name for name in path.iterdir() if PART.fullmatch(name.name)}
    if not parts:
        if path.name.endswith(PARTS_SUFFIX):
            raise InputError(f"{path}: holds no part of a recording")
        return None
    for number in range(min(parts), max(parts)):
        if number not in parts:
            raise InputError(f"{path}: part {part_name(number)} is missing")
    return _Parts([parts[number] for number in sorted(parts)])


def part_name(number: int) -> str:
    """The name of a recording's part; the first has number 1."""
    return f"{number:06}.parquet"


class _NotWholeError(InputError):
    """A Parquet file that does not end as one: its writer did not get there."""


class _Parts:
    """The parts of a recording, one after the other; one at most is open at a time.

    The metadata is the last part's with the answers and the mappings of all.  A last part that
    is not whole is left out: the recording was stopped on it, and those before are complete.
    """

    def __init__(self, parts: list[Path]) -> None:
        self.ragged: list[int] = []
        self.metadata: Metadata | None = None
        self.columns: tuple[str, ...] = ()
        self.rows: int | None = None
        self._parts: list[Path] = []
        answers: list[str] = []
        regions: list[MappedRegion] = []
        for part in parts:
            try:
                with part.open("rb") as stream:
                    form = _Parquet(part, stream)
            except _NotWholeError:
                if self._parts and part is parts[-1]:
                    break
                raise
            self._add(part, form)
            answers += form.metadata.answers if form.metadata else []
            regions += regions_of(form.metadata)
        if self.metadata:
            self.metadata = with_regions(self.metadata.with_answers(answers), regions)

    def _add(self, part: Path, form: _Parquet) -> None:
        if self._parts and form.columns != self.columns:
            raise InputError(f"{part}: has not the columns of {self._parts[0].name}")
        self.columns = form.columns
        self.rows = (self.rows or 0) + (form.rows or 0)
        self.metadata = form.metadata or self.metadata
        self._parts.append(part)

    def batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        for part in self._parts:
            with _reading(part), part.open("rb") as stream:
                yield from _Parquet(part, stream).batches(columns)

    def last_us(self) -> int | None:
        for part in reversed(self._parts):
            with _reading(part), part.open("rb") as stream:
                last = _Parquet(part, stream).last_us()
            if last is not None:
                return last
        return None


class _Parquet:
    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self.ragged: list[int] = []
        self._path, self._stream = path, stream
        try:
            self._file = _open_parquet(stream)
            schema = self._file.schema_arrow
        except _ARROW_ERRORS as error:
            raise _NotWholeError(
                f"{path}: not a whole Parquet file (truncated?): {one_line(error)}"
            ) from error
        self.rows: int | None = self._file.metadata.num_rows
        self.columns = tuple(name for name in DTYPES if name in schema.names)
        # The file's own metadata: a writer that adds to it late leaves the schema's as it was.
        raw = (self._file.metadata.metadata or {}).get(b"pghot")
        try:
            self.metadata = Metadata.from_json(raw) if raw is not None else None
        except ValueError as error:
            raise InputError(f"{path}: its metadata {error}") from error

    def batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        wanted = [name for name in self.columns if name in columns]
        self._check_kinds(wanted)
        meta = self._file.metadata
        words = check_pages(self._path, self._stream, meta, wanted)
        file = _open_parquet(self._stream, meta, words) if words else self._file
        yield from file.iter_batches(batch_size=ROWS_A_CHUNK, columns=wanted, use_threads=False)

    def _check_kinds(self, columns: list[str]) -> None:
        """Refuse what can be no numbers before any of it is read."""
        for name in columns:
            kind = self._file.schema_arrow.field(name).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not _may_hold_numbers(name, kind):
                raise InputError(f"{self._path}: column {name}: {_no_numbers(kind)}")

    def last_us(self) -> int | None:
        """By the last row group alone: rows are in the order of time."""
        meta = self._file.metadata
        groups = [at for at in range(meta.num_row_groups) if meta.row_group(at).num_rows][-1:]
        last = None
        if not groups or check_pages(self._path, self._stream, meta, ["time_us"], groups):
            return None
        for batch in self._file.iter_batches(
            batch_size=ROWS_A_CHUNK, row_groups=groups, columns=["time_us"], use_threads=False
        ):
            last = batch.column(0)[-1].as_py()
        return last if isinstance(last, int) and 0 <= last <= U64_MAX else None


def _open_parquet(
    stream: BinaryIO, metadata: Any = None, words: list[str] | None = None
) -> pa.parquet.ParquetFile:
    return pa.parquet.ParquetFile(
        stream,
        metadata=metadata,
        read_dictionary=words,
        buffer_size=_BUFFER,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=_footer_limit(stream),
        thrift_container_size_limit=_list_limit(stream),
    )


def _footer_limit(stream: BinaryIO) -> int:
    """The bytes that a text of the footer may have: a long recording's answers is long.

    Arrow's own limit is 100 MB; what a corrupt length claims beyond the file is no text.
    """
    return max(100_000_000, min(os.fstat(stream.fileno()).st_size, (1 << 31) - 1))


def _list_limit(stream: BinaryIO) -> int:
    """The items that a list of the footer may have: each takes a byte at least."""
    return min(1_000_000, os.fstat(stream.fileno()).st_size + 1)


class _Csv:
    """CSV is read as text, so that a bad value is known by its row and column.

    Whole lines go to Arrow's reader a block at a time: its own streaming reads ahead on a
    thread that can outlive an early end and abort the process at its exit.
    """

    metadata: Metadata | None = None
    rows: int | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self.ragged: list[int] = []
        self._names: list[str] = []
        self._rows_before = 0
        try:
            header = next(self._lines(), b"").partition(b"\n")[0]
        except _ARROW_ERRORS as error:
            raise InputError(f"{path}: not a CSV access log: {one_line(error)}") from error
        if not header.strip():
            raise InputError(f"{path}: not a CSV access log: it has no header")
        text = header.removeprefix(codecs.BOM_UTF8).decode("latin-1")
        self._names = [name.strip(' \t\r"') for name in text.split(",")]
        self.columns = tuple(name for name in DTYPES if name in self._names)

    def batches(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        wanted = [name for name in self.columns if name in columns]
        self.ragged.clear()
        self._rows_before = 0
        blocks = self._lines()
        yield from self._parsed(next(blocks, b"").partition(b"\n")[2], wanted)
        for block in blocks:
            yield from self._parsed(block, wanted)

    def last_us(self) -> int | None:
        """By the last line that has a time; the rest is read, and not parsed."""
        last = b""
        for block in self._lines():
            last = block
        at = self._names.index("time_us")
        for line in reversed(last.splitlines()):
            values = line.split(b",")
            text = values[at].strip(b' "') if at < len(values) else b""
            if text.isdigit() and int(text) <= U64_MAX:
                return int(text)
        return None

    def _lines(self) -> Iterator[bytes]:
        """The file in blocks of whole lines."""
        compression = "zstd" if self._path.name.endswith(".zst") else None
        rest = b""
        with (
            pa.OSFile(os.fsencode(self._path)) as file,
            pa.input_stream(file, compression=compression) as stream,
        ):
            while fresh := stream.read(CSV_BLOCK):
                whole, newline, rest_of_it = (rest + fresh).rpartition(b"\n")
                if whole or newline:
                    yield whole + newline
                rest = rest_of_it
                if len(rest) > CSV_BLOCK:
                    raise InputError(f"{self._path}: a line of over {CSV_BLOCK} bytes; no CSV log")
        if rest:
            yield rest

    def _parsed(self, block: bytes, wanted: list[str]) -> list[pa.RecordBatch]:
        if not block.strip():
            return []
        from pyarrow import csv  # noqa: PLC0415 - no Parquet log needs it

        ragged_before = len(self.ragged)
        table = csv.read_csv(
            pa.BufferReader(block),
            # Latin-1 takes any byte; what is no digit is found by its row and column later.
            read_options=csv.ReadOptions(
                column_names=self._names,
                block_size=2 * len(block) + 64,
                use_threads=False,
                encoding="latin-1",
            ),
            parse_options=csv.ParseOptions(invalid_row_handler=self._leave_out),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(DTYPES, pa.string()),
                include_columns=wanted,
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
        self._rows_before += table.num_rows + len(self.ragged) - ragged_before
        return list(table.to_batches())

    def _leave_out(self, row: Any) -> str:
        """Note a row that has not the header's number of values."""
        self.ragged.append(self._rows_before + (row.number or 0))
        return "skip"


def _values(
    name: str, column: pa.Array[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """A column as its contract type, and which of its values cannot be one.

    TypeError where the column as a whole is of a kind that cannot hold such values.
    """
    if pa.types.is_dictionary(column.type):
        return _by_dictionary(name, column)
    missing = None
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values, wrong = _from_text(name, column)
    elif pa.types.is_integer(column.type):
        values, wrong = _from_integers(name, column)
    elif pa.types.is_boolean(column.type) and DTYPES[name] is np.bool_:
        values, wrong = _without_nulls(column, False).to_numpy(zero_copy_only=False), None
    elif pa.types.is_null(column.type):
        values, wrong = np.zeros(len(column), DTYPES[name]), None
    else:
        raise TypeError(_no_numbers(column.type))
    if missing is None or wrong is None:
        return values, wrong if missing is None else missing
    return values, wrong | missing


def _may_hold_numbers(name: str, kind: Any) -> bool:
    types = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_null)
    is_truth = pa.types.is_boolean(kind) and DTYPES[name] is np.bool_
    return is_truth or any(is_one(kind) for is_one in types)


def _no_numbers(kind: Any) -> str:
    return f"holds {kind}, wants whole numbers"


def _by_dictionary(
    name: str, column: pa.Array[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Values by their places in a dictionary, of which each word is read once."""
    words, bad_words = _values(name, column.dictionary)
    if not len(words):  # all rows are missing
        words, bad_words = np.zeros(1, DTYPES[name]), None
    places = _without_nulls(column.indices, 0).to_numpy(zero_copy_only=False)
    wrong = None if bad_words is None else bad_words[places]
    if column.indices.null_count:
        missing = column.indices.is_null().to_numpy(zero_copy_only=False)
        wrong = missing if wrong is None else wrong | missing
    return words[places], wrong


def _without_nulls(column: pa.Array[Any], value: int) -> pa.Array[Any]:
    """The column with `value` for its nulls; without any, it takes no compute functions."""
    return column.fill_null(value) if column.null_count else column


def _from_integers(
    name: str, column: pa.Array[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    values = _without_nulls(column, 0).to_numpy(zero_copy_only=False)
    dtype = np.dtype(DTYPES[name])
    if values.dtype == dtype:
        return values, None
    if dtype == np.bool_:
        return values != 0, None
    limits = np.iinfo(dtype)
    wrong = np.zeros(len(values), np.bool_)
    held = np.iinfo(values.dtype)
    if held.min < limits.min:
        wrong |= values < limits.min
    if held.max > limits.max:
        wrong |= values > limits.max
    return values.astype(dtype), wrong


def _from_text(
    name: str, column: pa.Array[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    if name in {"source", "write"}:
        return _from_words(name, column)
    text = column.fill_null("0")
    kind = pa.from_numpy_dtype(DTYPES[name])
    try:
        return text.cast(kind).to_numpy(), None
    except pa.ArrowInvalid:  # some value is no number: find out which
        from pyarrow import compute  # noqa: PLC0415 - takes as long to import as NumPy

        text = compute.utf8_trim_whitespace(text)
    values = np.zeros(len(text), DTYPES[name])
    wrong = np.zeros(len(text), np.bool_)
    _read_numbers(text, kind, values, wrong)
    return values, wrong


def _read_numbers(
    text: pa.Array[Any], kind: Any, values: npt.NDArray[Any], wrong: npt.NDArray[np.bool_]
) -> None:
    """Read what is a number; text that holds one that is none is halved until it stands alone."""
    try:
        values[:] = text.cast(kind).to_numpy()
    except pa.ArrowInvalid:
        if len(text) == 1:
            wrong[0] = True
            return
        half = len(text) // 2
        for piece in slice(half), slice(half, None):
            _read_numbers(text[piece], kind, values[piece], wrong[piece])


def _from_words(
    name: str, column: pa.Array[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]:
    """Translate a column of few distinct words, each once."""
    encoded = column.fill_null("").dictionary_encode()
    words = [word.strip() for word in encoded.dictionary.to_pylist()]
    known: dict[str, int] = (
        SOURCES | {str(n): n for n in SOURCES.values()}
        if name == "source"
        else {"0": 0, "1": 1, "false": 0, "true": 1, "False": 0, "True": 1}
    )
    codes = np.array([known.get(word, -1) for word in words] or [0], np.int8)
    values = codes[encoded.indices.to_numpy(zero_copy_only=False)]
    return np.maximum(values, 0).astype(DTYPES[name]), values < 0


def one_line(error: BaseException) -> str:
    """An error's message as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."
