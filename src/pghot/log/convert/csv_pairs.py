"""CSV of times and addresses: two columns, a header row or none."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import Opened, Options, Tally, U64Array, with_address
from pghot.log.convert.source import Source
from pghot.log.convert.text import (
    Fields,
    LineKind,
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
_TIMES = ("time", "timestamp", "time_us", "time_ns", "time_ms", "time_s", "ts")
_ADDRESSES = ("address", "addr", "vaddr", "paddr", "phys_addr", "physical", "virtual")


def _up_to(most: bytes) -> bytes:
    """Give a pattern of the decimal numbers up to `most`, none with more digits than it."""
    ways = [most, rb"[0-9]{1,%d}" % (len(most) - 1)]
    for at, digit in enumerate(most):
        if digit > ord("0"):
            ways.append(rb"%b[0-%c][0-9]{%d}" % (most[:at], digit - 1, len(most) - at - 1))
    return b"|".join(ways)


_ADDRESS = rb"(0[xX][0-9a-fA-F]{1,16}|" + _up_to(_MOST) + rb")"


def looks_like_csv(line: bytes, options: Options) -> bool:
    """Tell whether a line is a row, or a header row that names a time and an address."""
    mark = options.delimiter.encode()[:1] or b","
    at, names = _columns(line, mark)
    return names or bool(_line_kind(at, options).sample.match(line))


def open_csv(source: Source, options: Options, tally: Tally) -> Opened:
    """Read the header row, if any; InputError where the delimiter is no single character."""
    if len(options.delimiter.encode()) != 1 or options.delimiter in "\r\n":
        raise InputError(f"--delimiter {options.delimiter!r}: wants one ASCII character")
    first = source.head.split(b"\n", 1)[0]
    at, names = _columns(first, options.delimiter.encode())
    kind = _line_kind(at, options)
    has_header = names or not (kind.sample.match(first) or first[:1].isdigit())
    physical = options.addresses == "physical"
    return Opened(
        NAME,
        physical,
        () if physical else ("vaddr",),
        _chunks(source, kind, options, tally, swapped=at[0] > at[1], has_header=has_header),
        f"converted from CSV, times in {options.time_unit}",
    )


def _columns(first: bytes, delimiter: bytes) -> tuple[tuple[int, int], bool]:
    """Give the places of time and address, and whether the first line names them."""
    names = [name.strip(b' \t\r"').decode("latin-1").lower() for name in first.split(delimiter)]
    time = next((at for at, name in enumerate(names) if name in _TIMES), None)
    address = next((at for at, name in enumerate(names) if name in _ADDRESSES), None)
    if time is None or address is None or max(time, address) > 100:
        return (0, 1), False
    return (time, address), True


def _line_kind(at: tuple[int, int], options: Options) -> LineKind:
    """Build the pattern of a row; its groups are whole, fraction, address, in column order."""
    mark = re.escape(options.delimiter.encode()[:1] or b",")
    other = rb"[^\n" + mark + rb"]*" + mark
    time = rb"([0-9]{1,%d})(?:\.([0-9]*))?" % _WHOLE[options.time_unit]
    low, high = sorted(at)
    fields = [time, _ADDRESS] if at[0] < at[1] else [_ADDRESS, time]
    space = rb"[ \t]*"
    one, two = (space + rb'"?' + field + rb'"?' + space for field in fields)
    row = (
        b"".join([rb"^", other * low, one, mark, other * (high - low - 1), two])
        + rb"(?:"
        + mark
        + rb"[^\n]*)?\r?$"
    )
    wants = f"row of a time in {options.time_unit} and an address (decimal or 0x)"
    return LineKind(
        re.compile(row, re.MULTILINE),
        re.compile(rb"^(?:#[^\n]*|[ \t]*)\r?$", re.MULTILINE),
        wants,
    )


def _chunks(
    source: Source,
    kind: LineKind,
    options: Options,
    tally: Tally,
    *,
    swapped: bool,
    has_header: bool,
) -> Iterator[Columns]:
    physical = options.addresses == "physical"
    order = TimeOrder(source, kind, tally, skip_bad=options.skip_bad)
    for number, whole in source.blocks():
        line, block = number, whole
        if number == 1 and has_header:
            block = whole[whole.index(b"\n") + 1 :]
            line = 2
        found = match_block(source, line, block, kind, tally, skip_bad=options.skip_bad)
        if not found:
            continue
        rows = _rows(found, options.time_unit, swapped=swapped)
        if not physical:
            rows["vaddr"] = rows["address"]
        keep = order.keep(line, block, rows["time_us"])
        if keep is not None:
            rows = {name: array[keep] for name, array in rows.items()}
        yield with_address(rows, tally, physical=physical)


def _rows(found: list[Fields], unit: str, *, swapped: bool) -> Columns:
    columns = list(zip(*found, strict=True))
    whole, fraction, address = (*columns[1:], columns[0]) if swapped else columns
    time = decimal_numbers(whole, _WHOLE[unit])
    digits = _FRACTION[unit]
    if unit == "ns":
        time //= np.uint64(1000)
    elif digits:
        time *= np.uint64(10**digits)
        time += decimal_numbers([f[:digits].ljust(digits, b"0") for f in fraction], digits)
    return {"time_us": time, "address": _addresses(address)}


def _addresses(texts: tuple[bytes, ...]) -> U64Array:
    prefixed = [text[1:2] in _PREFIXES and len(text) > 2 for text in texts]
    if all(prefixed):
        return hex_numbers([text[2:] for text in texts])
    if not any(prefixed):
        return decimal_numbers(texts, 20)
    numbers = [int(text, 16 if hexed else 10) for text, hexed in zip(texts, prefixed, strict=True)]
    return np.array(numbers, dtype=np.uint64)
