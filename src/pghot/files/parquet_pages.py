"""Parquet of other people: what its pages would have pyarrow allocate, by their headers.

pyarrow believes a page's header: it makes room for what the page is said to inflate to, and
for as many words as a dictionary is said to have.  So headers are looked at first; the
footer's own sizes say nothing of them (parquet.thrift; headers are in Thrift's compact form).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pghot.errors import InputError

MOST_AT_ONCE = 512 << 20
"""Bytes, inflated, of the largest pages of all columns that are read together."""

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_KIND, _INFLATED, _PACKED = 1, 2, 3
_HEADERS = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""The field of a page's header that is of its kind; its first field is the number of values."""

_ENCODINGS = {_DATA: 2, _DATA_V2: 4}
"""The field of these that names the encoding of a page's values."""

_BY_DICTIONARY = {2, 8}
_DELTA_BYTE_ARRAY = 7
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
_LONGEST_FIXED = 64

_WIDTHS = {"INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12, _TEXT: 4}
"""Bytes that a value of a dictionary takes at least."""

_LOOKS = (1 << 8, 1 << 16, 1 << 24)
"""Bytes read for a header: nearly all are short, one with statistics may be long."""

_DEEPEST = 8

# Kinds of a field in Thrift's compact form.
_TRUTHS, _WHOLE, _LISTS = {1, 2}, {4, 5, 6}, {9, 10}
_BYTES, _STRUCT = 8, 12
_SIZES = {1: 0, 2: 0, 3: 1, 7: 8}
"""Bytes that the fields of these kinds take."""


class Seekable(Protocol):
    """A file that is read from any place."""

    def seek(self, at: int, /) -> Any:
        """Go to a byte."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes."""


class _Page(NamedTuple):
    kind: int
    inflated: int
    packed: int
    values: int
    encoding: int


def check_pages(
    path: Path | str,
    stream: Seekable,
    metadata: Any,
    columns: Sequence[str],
    groups: Sequence[int] | None = None,
) -> list[str]:
    """Refuse a file whose pages of these columns ask for too much; InputError.

    `metadata` is pyarrow's FileMetaData; None for `groups` is all.  Columns of lists or groups
    are refused too: how much a row of theirs holds, no header bounds.  What comes back are the
    columns of texts that have a dictionary: pyarrow is to keep it (`read_dictionary`), for a
    long word of it may stand in any number of rows.
    """
    chosen = [
        _Chosen(path, at, metadata.schema.column(at))
        for at in range(metadata.num_columns)
        if metadata.schema.column(at).path.split(".", 1)[0] in columns
    ]
    for number in range(metadata.num_row_groups) if groups is None else groups:
        group = metadata.row_group(number)
        asked = sum(column.largest(stream, group.column(column.at)) for column in chosen)
        if asked > MOST_AT_ONCE:
            raise InputError(
                f"{path}: its pages inflate to {asked >> 20} MiB at once, more than "
                f"{MOST_AT_ONCE >> 20}; write it with smaller pages or row groups"
            )
    return [column.name for column in chosen if column.has_words]


class _Chosen:
    """A column that is to be read.  `column` is pyarrow's ColumnSchema."""

    def __init__(self, path: Path | str, at: int, column: Any) -> None:
        self.name = column.path.split(".", 1)[0]
        self.at = at
        self.has_words = False
        self._what = f"{path}: column {self.name}"
        self._kind = column.physical_type
        self._width = _WIDTHS.get(self._kind, max(column.length, 1))
        if column.path != self.name or column.max_repetition_level:
            raise InputError(f"{self._what}: holds lists or groups of values")
        if self._kind == _FIXED and self._width > _LONGEST_FIXED:
            raise InputError(f"{self._what}: holds values of {self._width} bytes")

    def largest(self, stream: Seekable, chunk: Any) -> int:
        """Bytes that a chunk's dictionary and its largest page inflate to."""
        at, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
        if dictionary is not None and 0 < dictionary < at:
            at = dictionary
        end = at + chunk.total_compressed_size
        largest = words = seen = 0
        while seen < chunk.num_values and at < end:
            page, after = _page(self._what, stream, at)
            at = after + page.packed
            if not 0 <= page.packed <= end - after or page.inflated < 0 or page.values < 0:
                raise InputError(f"{self._what}: corrupt: a page runs past byte {end}")
            if page.kind == _DICTIONARY:
                words += page.inflated
                self._check_words(page)
            else:
                self._check_encoding(page)
                largest = max(largest, page.inflated)
                seen += page.values
        return words + largest

    def _check_words(self, page: _Page) -> None:
        if page.values * self._width > page.inflated:
            raise InputError(
                f"{self._what}: corrupt: {page.values} words in {page.inflated} bytes"
            )

    def _check_encoding(self, page: _Page) -> None:
        if self._kind != _TEXT:
            return
        self.has_words |= page.encoding in _BY_DICTIONARY
        if page.encoding == _DELTA_BYTE_ARRAY:  # a text may be the one before it and a bit
            raise InputError(
                f"{self._what}: is encoded as DELTA_BYTE_ARRAY, which bounds no text's length; "
                f"write it with a dictionary, or plain"
            )


def _page(what: str, stream: Seekable, at: int) -> tuple[_Page, int]:
    """The header at a byte, and the byte after it."""
    for most in _LOOKS:
        try:
            stream.seek(at)
            data = stream.read(most)
            fields, size = _Compact(data).fields(0)
        except (IndexError, OSError, OverflowError):
            continue
        except ValueError:
            break
        kind = _whole(fields, _KIND)
        own = fields.get(_HEADERS.get(kind, -1), {})
        own = own if isinstance(own, dict) else {}
        inflated, packed = _whole(fields, _INFLATED), _whole(fields, _PACKED)
        encoding = _whole(own, _ENCODINGS.get(kind, -1))
        return _Page(kind, inflated, packed, _whole(own, 1), encoding), at + size
    raise InputError(f"{what}: corrupt: no header of a page at byte {at}")


def _whole(fields: dict[int, Any], number: int) -> int:
    value = fields.get(number, 0)
    return value if isinstance(value, int) else 0


class _Compact:
    """Thrift's compact form: IndexError where it is cut off, ValueError where it is none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def fields(self, depth: int) -> tuple[dict[int, Any], int]:
        """Numbers and structures of a structure by field, and the byte after it."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._data[self._at]:
            self._at += 1
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0xF
            found[number] = self._zigzag() if kind in _WHOLE else self._other(kind, depth)
        self._at += 1
        return found, self._at

    def _other(self, kind: int, depth: int) -> Any:
        """A structure; None for what is passed over."""
        if kind == _STRUCT and depth < _DEEPEST:
            return self.fields(depth + 1)[0]
        if kind in _LISTS and depth < _DEEPEST:
            self._list(depth + 1)
        elif kind in _SIZES:
            self._skip(_SIZES[kind])
        elif kind == _BYTES:
            self._skip(self._varint())
        else:
            raise ValueError(f"a field of kind {kind}")
        return None

    def _list(self, depth: int) -> None:
        head = self._data[self._at]
        self._at += 1
        count = head >> 4 if head >> 4 < 15 else self._varint()
        kind = head & 0xF
        for _ in range(count):
            if kind in _WHOLE:
                self._varint()
            elif kind in _TRUTHS:
                self._skip(1)  # in a list it takes a byte
            else:
                self._other(kind, depth)

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        number = shift = 0
        at = self._at
        while (byte := self._data[at]) >= 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
            at += 1
            if shift > 63:
                raise ValueError("too long a number")
        self._at = at + 1
        return number | byte << shift

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)
