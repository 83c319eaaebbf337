"""Parquet of a log's rows at little cost: for parts, which are written while the host works.

Numbers are packed as differences (`delta_pack`), a column of one value is that value and how
often, what is true or false takes a bit: Arrow's encoders and lz4 take four times as long for
files of the same size (bench/drain.py).  Every page has its CRC.  The form is that of
apache/parquet-format: parquet.thrift in Thrift's compact protocol, Encodings.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.log.delta_pack import pack
from pghot.log.schema import DTYPES, Columns

MAGIC = b"PAR1"
CREATED_BY = "pghot"

_BOOLEAN, _INT32, _INT64 = 0, 1, 2
_KINDS: dict[np.dtype[Any], tuple[int, int | None]] = {
    np.dtype(np.bool_): (_BOOLEAN, None),
    np.dtype(np.int8): (_INT32, 15),
    np.dtype(np.int16): (_INT32, 16),
    np.dtype(np.int32): (_INT32, 17),
    np.dtype(np.uint32): (_INT32, 13),
    np.dtype(np.uint64): (_INT64, 14),
}
"""Parquet's type of a column, and its ConvertedType."""

_PLAIN, _RLE, _DELTA, _DICTIONARY = 0, 3, 5, 8
_REQUIRED = 0
_SIGN = 1 << 31
_DATA_PAGE, _DICTIONARY_PAGE = 0, 2

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
"""Kinds of fields in Thrift's compact protocol."""

Page = bytes | memoryview
Field = tuple[int, int, Any]
"""A field of a structure: its number, its kind, its value; of a list, (kind, items)."""


class ColumnBytes(NamedTuple):
    """A column's bytes in the file: how many, from where, and its encodings.

    `dictionary` is where its dictionary stands, None where it has none.
    """

    size: int
    start: int
    data: int
    encodings: Sequence[int]
    dictionary: int | None


def write_rows(stream: BinaryIO, rows: Columns, said: str) -> None:
    """Write a whole file: rows in the contract's order of columns, and the metadata `said`."""
    names = [name for name in DTYPES if name in rows]
    count = len(rows["time_us"])
    writer = _Writer(stream)
    writer.write(MAGIC)
    chunks = [writer.column(rows[name]) for name in names] if count else []
    footer = _footer(names, count, chunks, said)
    writer.write(footer)
    writer.write(len(footer).to_bytes(4, "little"))
    writer.write(MAGIC)


class _Writer:
    """Writes pages and knows where they are."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0

    def write(self, data: Page) -> None:
        """Write bytes."""
        self._stream.write(data)
        self._at += len(data)

    def column(self, values: npt.NDArray[Any]) -> ColumnBytes:
        """Write the pages of a column that has values."""
        start = self._at
        if values.dtype == np.uint64:
            return self._packed(values)
        if values.dtype == np.bool_:
            return self._plain(np.packbits(values, bitorder="little").data, len(values))
        signed = values.view(np.int32) if values.dtype == np.uint32 else values
        least, most = int(signed.min()), int(signed.max())
        if least == most:
            self._page(_DICTIONARY_PAGE, least.to_bytes(4, "little", signed=True), 1, _PLAIN)
            data = self._at
            self._page(_DATA_PAGE, _all_the_first(len(values)), len(values), _DICTIONARY)
            return ColumnBytes(self._at - start, start, data, [_PLAIN, _DICTIONARY], start)
        if most - least < _SIGN:  # so a step between any two has 32 bits
            return self._packed(signed.astype(np.int64).view(np.uint64))
        return self._plain(signed.astype("<i4").view(np.uint8).data, len(values))

    def _packed(self, values: npt.NDArray[np.uint64]) -> ColumnBytes:
        start = self._at
        self._page(_DATA_PAGE, pack(values), len(values), _DELTA)
        return ColumnBytes(self._at - start, start, start, [_DELTA], None)

    def _plain(self, data: Page, count: int) -> ColumnBytes:
        start = self._at
        self._page(_DATA_PAGE, data, count, _PLAIN)
        return ColumnBytes(self._at - start, start, start, [_PLAIN], None)

    def _page(self, kind: int, data: Page, values: int, encoding: int) -> None:
        crc = zlib.crc32(data)
        described: list[Field] = [(1, _I32, values), (2, _I32, encoding)]
        number = 7
        if kind == _DATA_PAGE:
            described += [(3, _I32, _RLE), (4, _I32, _RLE)]  # of levels, which there are none of
            number = 5
        self.write(
            _struct(
                (1, _I32, kind),
                (2, _I32, len(data)),
                (3, _I32, len(data)),
                (4, _I32, crc - (1 << 32) if crc >> 31 else crc),
                (number, _STRUCT, described),
            )
        )
        self.write(data)


def _all_the_first(count: int) -> bytes:
    """A data page whose values are all the dictionary's first: one run, in one bit each."""
    return b"\1" + _varint(count << 1) + b"\0"


def _footer(names: Sequence[str], count: int, chunks: Sequence[ColumnBytes], said: str) -> bytes:
    group: list[Field] = [
        (1, _LIST, (_STRUCT, [_chunk(*of, count) for of in zip(names, chunks, strict=False)])),
        (2, _I64, sum(chunk.size for chunk in chunks)),
        (3, _I64, count),
    ]
    root: list[Field] = [(4, _BINARY, "schema"), (5, _I32, len(names))]
    return _struct(
        (1, _I32, 1),
        (2, _LIST, (_STRUCT, [root, *map(_schema, names)])),
        (3, _I64, count),
        (4, _LIST, (_STRUCT, [group] if chunks else [])),
        (5, _LIST, (_STRUCT, [[(1, _BINARY, "pghot"), (2, _BINARY, said)]])),
        (6, _BINARY, CREATED_BY),
    )


def _schema(name: str) -> list[Field]:
    """A SchemaElement."""
    kind, converted = _KINDS[np.dtype(DTYPES[name])]
    fields: list[Field] = [(1, _I32, kind), (3, _I32, _REQUIRED), (4, _BINARY, name)]
    return fields if converted is None else [*fields, (6, _I32, converted)]


def _chunk(name: str, chunk: ColumnBytes, count: int) -> list[Field]:
    """A ColumnChunk."""
    metadata: list[Field] = [
        (1, _I32, _KINDS[np.dtype(DTYPES[name])][0]),
        (2, _LIST, (_I32, chunk.encodings)),
        (3, _LIST, (_BINARY, [name])),
        (4, _I32, 0),  # not compressed
        (5, _I64, count),
        (6, _I64, chunk.size),
        (7, _I64, chunk.size),
        (9, _I64, chunk.data),
    ]
    if chunk.dictionary is not None:
        metadata.append((11, _I64, chunk.dictionary))
    return [(2, _I64, chunk.start), (3, _STRUCT, metadata)]


# Thrift's compact protocol.


def _struct(*fields: Field) -> bytes:
    made = bytearray()
    last = 0
    for number, kind, value in fields:  # numbers rise by less than 16
        made.append((number - last) << 4 | kind)
        made += _value(kind, value)
        last = number
    made.append(0)
    return bytes(made)


def _value(kind: int, value: Any) -> bytes:
    if kind in {_I32, _I64}:
        return _varint(value << 1 if value >= 0 else (-value << 1) - 1)
    if kind == _BINARY:
        text = value.encode()
        return _varint(len(text)) + text
    if kind == _STRUCT:
        return _struct(*value)
    of, items = value
    short = len(items) < 15
    head = bytes([len(items) << 4 | of]) if short else bytes([0xF0 | of]) + _varint(len(items))
    return head + b"".join(_value(of, item) for item in items)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number >= 0x80:
        made.append((number & 0x7F) | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)
