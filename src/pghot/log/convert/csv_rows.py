"""CSV with a time and an address in each row, and what else its columns are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pghot.engine.units import NID_MAX
from pghot.errors import InputError
from pghot.log.convert import csv_columns
from pghot.log.convert.csv_columns import CsvColumns as Named
from pghot.log.convert.samples import (
    ConvertOptions,
    ConvertTally,
    Opened,
    U64Array,
    ordinal_times,
    use_physical,
    with_address,
)
from pghot.log.convert.source import Source
from pghot.log.convert.text import (
    Fields,
    LineKind,
    SmallIntegers,
    TimeOrder,
    decimal_numbers,
    hex_numbers,
    match_block,
)
from pghot.log.schema import Columns

NAME = "csv"

# Decimal digits to keep of a time's fraction, and before its point so that microseconds
# fit 64 bits.
_FRACTION = {"s": 6, "ms": 3, "us": 0, "ns": 0}
_WHOLE = {"s": 13, "ms": 16, "us": 19, "ns": 19}
_MOST = str((1 << 64) - 1).encode()
_PREFIXES = (b"x", b"X")
_CHATTER = re.compile(rb"^(?:#[^\n]*|[ \t]*)\r?$", re.MULTILINE)
_READS = (b"r", b"read", b"rd", b"l", b"ld", b"load", b"0", b"false")
_WRITES = (b"w", b"write", b"wr", b"s", b"st", b"store", b"m", b"modify", b"1", b"true")
_FETCHES = (b"i", b"ifetch", b"fetch", b"instr")
_TEXT = re.compile(rb"[^,;|\t\n]*[,;|\t]|[ \t]*[-+0-9A-Za-z:]+[ \t]+[^\n]*[0-9]")


def _up_to(most: bytes) -> bytes:
    """A pattern of the decimal numbers up to `most`, none with more digits than it."""
    ways = [most, rb"[0-9]{1,%d}" % (len(most) - 1)]
    for at, digit in enumerate(most):
        if digit > ord("0"):
            ways.append(rb"%b[0-%c][0-9]{%d}" % (most[:at], digit - 1, len(most) - at - 1))
    return b"|".join(ways)


_NUMBER = rb"(0[xX][0-9a-fA-F]{1,16}|" + _up_to(_MOST) + rb")"
_SMALL = rb"(-?[0-9]{1,10})"
_WORD = rb"([A-Za-z]{1,8}|[01])"
_PATTERNS = {
    **dict.fromkeys(csv_columns.ADDRESSES, _NUMBER),
    **dict.fromkeys(("pid", "tid", "cpu", "nid"), _SMALL),
    "weight": rb"([0-9]{1,10})",
    "write": _WORD,
    "size": rb"(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})()",
}
_LIMITS = {
    "pid": (-(1 << 31), (1 << 31) - 1),
    "cpu": (-1, (1 << 15) - 1),
    "nid": (-1, NID_MAX),
    "weight": (0, (1 << 32) - 1),
}
_DTYPES: dict[str, npt.DTypeLike] = {
    "pid": np.int32,
    "cpu": np.int16,
    "nid": np.int16,
    "weight": np.uint32,
}


def looks_like_csv(line: bytes, options: ConvertOptions) -> bool:
    """Whether a line may be a row of columns, or a header."""
    mark = options.delimiter.encode()[:1] or b","
    return mark in line or bool(_TEXT.match(line))


def open_csv(source: Source, options: ConvertOptions, tally: ConvertTally) -> Opened:
    """Settle the columns; InputError where nothing says what they are."""
    if len(options.delimiter.encode()) != 1 or options.delimiter in '\r\n"':
        raise InputError(f"--delimiter {options.delimiter!r}: wants one ASCII character")
    named = csv_columns.find_columns(source.name, source.head, options, tally)
    places = named.places
    wanted = options.addresses
    plain = {role for role in ("virtual", "physical") if role in places}
    if wanted == "physical" and plain == {"virtual"} and "physical_page" not in places:
        # A column called address may hold either; the user says which.
        places["physical"] = places.pop("virtual")
    physical = use_physical(
        source.name,
        wanted,
        physical="physical" in places or "physical_page" in places,
        virtual="virtual" in places or "virtual_page" in places,
        remedy="its columns are named otherwise; --columns names them",
    )
    if "tid" in places and "pid" not in places and not physical:
        tally.note("tid does not say whose the pages are: all are taken to be of one process")
    if "size" in places:
        tally.note("sizes are not used: an access counts for the page where it begins")
    columns: list[str] = [role for role in ("pid", "cpu", "write", "weight") if role in places]
    if "virtual" in places or "virtual_page" in places:
        columns.append("vaddr")
    clock = f"times in {named.unit}"
    if options.order_as_time is not None:
        clock = f"virtual time, {options.order_as_time} rows a second"
    return Opened(
        NAME,
        physical,
        tuple(columns),
        _CsvRows(source, named, options, tally, physical=physical).chunks(),
        f"converted from CSV, {clock}",
        virtual_clock="" if options.order_as_time is None else "--order-as-time",
    )


def _line_kind(named: Named, options: ConvertOptions) -> LineKind:
    """Build the pattern of a row; its groups are of the columns in their order."""
    blank = options.delimiter == " "
    mark = rb"[ \t]+" if blank else re.escape(options.delimiter.encode())
    stop = rb" \t" if blank else mark
    other = rb"(?:\"[^\"\n]*\"[ \t]*|[^\"\n" + stop + rb"][^\n" + stop + rb"]*|)"
    space = rb"" if blank else rb"[ \t]*"
    point = rb"\." if options.delimiter == "," else rb"[.,]"
    time = rb"([0-9]{1,%d})(?:" % _WHOLE[named.unit] + point + rb"([0-9]*))?"
    patterns = _PATTERNS | {"time": time}
    by_place = {at: patterns[role] for role, at in named.places.items()}
    # A number in quotes that holds a delimiter is none.
    whole = (
        rb"(?=(?:\"[^\"\n" + stop + rb"]*\"|[^\"\n" + stop + rb"]*)[ \t\r]*(?:" + mark + rb"|$))"
    )
    row = [
        space + whole + rb'"?' + by_place[at] + rb'"?' + space if at in by_place else space + other
        for at in range(max(by_place) + 1)
    ]
    start = rb"^[ \t]*" if blank else rb"^"
    text = start + mark.join(row) + rb"(?:" + mark + rb"[^\n]*)?[ \t]*\r?$"
    roles = ", ".join(_words(role, named.unit) for role in _ordered(named))
    return LineKind(re.compile(text, re.MULTILINE), _CHATTER, f"row of {roles}")


def _words(role: str, unit: str) -> str:
    if role == "time":
        return f"a time in {unit}"
    if role in csv_columns.ADDRESSES:
        what = "a page number" if role.endswith("page") else "an address"
        return f"{what} (decimal or 0x)"
    return role


def _wanted(role: str) -> str:
    """What the values of a column may be."""
    if role in _LIMITS:
        low, high = _LIMITS[role]
        return f"{low} to {high}"
    if role == "write":
        return "R or W, read or write, 0 or 1, true or false"
    return "the number of a page whose address fits 64 bits"


def _ordered(named: Named) -> list[str]:
    return sorted(named.places, key=named.places.__getitem__)


class _CsvRows:
    """Rows of one file."""

    def __init__(
        self,
        source: Source,
        named: Named,
        options: ConvertOptions,
        tally: ConvertTally,
        *,
        physical: bool,
    ) -> None:
        self._source = source
        self._named = named
        self._options = options
        self._tally = tally
        self._physical = physical
        self._kind = _line_kind(named, options)
        self._seen = 0

    def chunks(self) -> Iterator[Columns]:
        """Rows of the log."""
        skip_bad = self._options.skip_bad
        order = TimeOrder(self._source, self._kind, self._tally, skip_bad=skip_bad)
        for number, whole in self._source.blocks():
            line, block = number, whole
            if number == 1:
                line, block = 1 + self._named.before, whole[self._named.skipped :]
            found = match_block(
                self._source, line, block, self._kind, self._tally, skip_bad=skip_bad
            )
            if not found:
                continue
            rows = self._rows(found, line, block)
            keep = order.keep(line, block, rows["time_us"])
            if keep is not None:
                rows = {name: array[keep] for name, array in rows.items()}
            yield self._with_address(rows)

    def _with_address(self, rows: Columns) -> Columns:
        fetched = rows.pop("fetched", None)
        if fetched is not None and fetched.any():
            self._tally.leave_out("instruction fetch", int(np.count_nonzero(fetched)))
            rows = {name: array[~fetched] for name, array in rows.items()}
        chosen = "physical" if self._physical else "virtual"
        if f"{chosen}_page" in self._named.places and chosen not in self._named.places:
            return rows  # page 0 is a page
        return with_address(rows, self._tally, physical=self._physical)

    def _rows(self, found: list[Fields], line: int, block: bytes) -> Columns:
        groups = self._groups(found)
        rows: Columns = {"time_us": self._times(groups, len(found))}
        for kind in ("virtual", "physical"):
            if kind in groups:
                rows[kind] = _numbers(groups[kind][0])
            elif f"{kind}_page" in groups:
                pages = _numbers(groups[f"{kind}_page"][0])
                self._check(
                    pages > np.uint64(((1 << 64) - 1) // self._options.page_size),
                    f"{kind}_page",
                    line,
                    block,
                )
                rows[kind] = pages * np.uint64(self._options.page_size)
        rows["address"] = rows["physical" if self._physical else "virtual"]
        rows.pop("physical", None)
        if "virtual" in rows:
            rows["vaddr"] = rows.pop("virtual")
        for role, dtype in _DTYPES.items():
            if role in groups:
                rows[role] = self._small(groups[role][0], role, line, block).astype(dtype)
        if "write" in groups:
            self._operations(groups["write"][0], rows, line, block)
        return rows

    def _groups(self, found: list[Fields]) -> dict[str, list[tuple[bytes, ...]]]:
        """The texts of each role's column; of times the whole and the fraction."""
        texts = iter(zip(*found, strict=True) if isinstance(found[0], tuple) else [tuple(found)])
        groups = {}
        for role in _ordered(self._named):
            groups[role] = [next(texts), next(texts)] if role == "time" else [next(texts)]
        return groups

    def _times(self, groups: dict[str, list[tuple[bytes, ...]]], rows: int) -> U64Array:
        rate = self._options.order_as_time
        if rate is not None:
            self._seen += rows
            return ordinal_times(self._seen - rows, rows, rate)
        whole, fraction = groups["time"]
        unit = self._named.unit
        time = decimal_numbers(whole, _WHOLE[unit])
        digits = _FRACTION[unit]
        if unit == "ns":
            time //= np.uint64(1000)
        elif digits:
            time *= np.uint64(10**digits)
            time += decimal_numbers([f[:digits].ljust(digits, b"0") for f in fraction], digits)
        return time

    def _small(
        self, texts: Sequence[bytes], role: str, line: int, block: bytes
    ) -> npt.NDArray[np.int64]:
        numbers = SmallIntegers()
        values = np.array([numbers[text] for text in texts], dtype=np.int64)
        low, high = _LIMITS[role]
        self._check((values < low) | (values > high), role, line, block)
        return values

    def _operations(self, texts: Sequence[bytes], rows: Columns, line: int, block: bytes) -> None:
        kinds = np.array([_OPERATIONS[text] for text in texts], dtype=np.int8)
        self._check(kinds < 0, "write", line, block)
        rows["write"] = kinds == 1
        rows["fetched"] = kinds == _FETCH

    def _check(self, wrong: npt.NDArray[np.bool_], role: str, line: int, block: bytes) -> None:
        """InputError at the first row that is wrong; --skip-bad is for what is no row at all."""
        if not wrong.any():
            return
        at = int(np.argmax(wrong))
        matches = self._kind.sample.finditer(block)
        start = next(match.start() for number, match in enumerate(matches) if number == at)
        number = line + block.count(b"\n", 0, start)
        what = role.replace("_", " ")
        raise InputError(f"{self._source.name}: line {number}: {what}: wants {_wanted(role)}")


_FETCH = 2


class _Operations(dict[bytes, int]):
    """0 for a read, 1 for a write, 2 for an instruction fetch, -1 for none of them."""

    def __missing__(self, text: bytes) -> int:
        word = text.lower()
        kinds = ((_READS, 0), (_WRITES, 1), (_FETCHES, _FETCH))
        self[text] = kind = next((kind for words, kind in kinds if word in words), -1)
        return kind


_OPERATIONS = _Operations()


def _numbers(texts: Sequence[bytes]) -> U64Array:
    prefixed = [text[1:2] in _PREFIXES and len(text) > 2 for text in texts]
    if all(prefixed):
        return hex_numbers([text[2:] for text in texts])
    if not any(prefixed):
        return decimal_numbers(texts, 20)
    numbers = [int(text, 16 if hexed else 10) for text, hexed in zip(texts, prefixed, strict=True)]
    return np.array(numbers, dtype=np.uint64)
