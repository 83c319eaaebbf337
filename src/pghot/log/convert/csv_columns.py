"""Which column of a CSV file is what: by its header, or as --columns says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pghot.errors import InputError
from pghot.log.convert.samples import ConvertOptions, ConvertTally
from pghot.log.convert.text import printable
from pghot.log.schema import REQUIRED

_TIMES = ("time", "timestamp", "ts")
_UNITS = ("ns", "us", "ms", "s")
_ROLES = {
    "address": "virtual",
    "addr": "virtual",
    "vaddr": "virtual",
    "va": "virtual",
    "paddr": "physical",
    "pa": "physical",
    "phys_addr": "physical",
    "page": "virtual_page",
    "virtual_page": "virtual_page",
    "pfn": "physical_page",
    "type": "write",
    **{name: name for name in ("pid", "tid", "cpu", "nid", "write", "size", "weight")},
    **dict.fromkeys(_TIMES, "time"),
    **{f"{name}_{unit}": "time" for name in _TIMES for unit in _UNITS},
}
NAMES = tuple(_ROLES)
"""Names of columns that are known."""

_PLAIN = ["time", "address"]
"""Names of the two columns of what has no header."""

ADDRESSES = ("virtual", "physical", "virtual_page", "physical_page")
_MOST_COLUMNS = 200
_COMMENT = re.compile(rb"[ \t]*(?:#[^\n]*)?\r?$")
_NUMBER = re.compile(
    rb"[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:[.,][0-9]*)?(?:[eE][-+]?[0-9]+)?)[:%;|][^ ]*|"
    rb"[-+]?(?:0[xX][0-9a-fA-F]+|[0-9]+(?:[.,][0-9]*)?(?:[eE][-+]?[0-9]+)?)"
)
_ADDRESS = re.compile(rb"0[xX][0-9a-fA-F]{1,16}")
_TIME = re.compile(rb"[0-9]{1,19}(?:\.[0-9]*)?")
_OTHER_MARKS = (b"\t", b";", b"|", b" ")


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Where each role's column is, in what unit times are, and how many lines come before."""

    places: dict[str, int]
    unit: str
    before: int
    """Lines before the first row."""
    skipped: int
    """Bytes of these lines."""


def cells(line: bytes, mark: bytes) -> list[bytes]:
    """What stands between the delimiters of a line; blanks count as one."""
    parts = line.split() if mark == b" " else line.split(mark)
    return [part.strip(b' \t\r"') for part in parts]


def find_columns(
    name: str, head: bytes, options: ConvertOptions, tally: ConvertTally
) -> CsvColumns:
    """Decide by the first lines and the options; InputError where they do not say enough."""
    mark = options.delimiter.encode()
    before, skipped, first = _first_line(head)
    texts = cells(first, mark)
    header = _is_header(texts)
    if header:
        before, skipped = before + 1, skipped + len(first) + 1
    if options.columns is not None:
        names: Sequence[str] = _named(options.columns)
    elif header:
        _suggest_delimiter(name, first, texts)
        names = [printable(text).lower() for text in texts[:_MOST_COLUMNS]]
        _refuse_own_log(name, names)
    else:
        names = _guessless(name, first, texts, options, tally)
    places = _places(name, names, first, options)
    return CsvColumns(places, _unit(name, names, places, options, tally), before, skipped)


def _first_line(head: bytes) -> tuple[int, int, bytes]:
    """The first line that is no comment; how many lines and bytes come before it."""
    skipped = 0
    for before, line in enumerate(head.split(b"\n")):
        if not _COMMENT.match(line):
            return before, skipped, line
        skipped += len(line) + 1
    return 0, 0, b""


def _is_header(texts: Sequence[bytes]) -> bool:
    """Whether a line names columns: no word of it is a number."""
    words = [word for text in texts for word in text.split()]
    return bool(words) and not any(_NUMBER.fullmatch(word) for word in words)


def _suggest_delimiter(name: str, first: bytes, texts: Sequence[bytes]) -> None:
    """Refuse a header that names an address once it is cut at another delimiter."""
    if len(texts) > 1:
        return
    for mark in (b",", *_OTHER_MARKS):
        names = {text.decode("latin-1").lower() for text in cells(first.strip(), mark)}
        if len(names) > 1 and names & set(_ROLES):
            raise InputError(
                f"{name}: its columns are apart by {_shown(mark)}: give --delimiter {_shown(mark)}"
            )


def _named(columns: Sequence[str]) -> list[str]:
    names = [column.strip().lower() for column in columns]
    for column in names:
        if column not in _ROLES and column not in ("", "-"):
            near = get_close_matches(column, NAMES, n=1)
            hint = f"perhaps {near[0]}; " if near else ""
            raise InputError(
                f"--columns {column!r}: no name of a column; {hint}- stands for one that is "
                f"passed over"
            )
    return names


def _refuse_own_log(name: str, names: Sequence[str]) -> None:
    if set(REQUIRED) <= set(names):
        raise InputError(
            f"{name}: is an access log already, in CSV; pghot replay takes it as it is (its name "
            f"must end in .csv)"
        )


def _guessless(
    name: str, first: bytes, texts: Sequence[bytes], options: ConvertOptions, tally: ConvertTally
) -> list[str]:
    """Names where nothing gives them: only a time and an address written with 0x are plain."""
    if len(texts) == 2 and _TIME.fullmatch(texts[0]) and _ADDRESS.fullmatch(texts[1]):
        unit = options.time_unit or "us"
        tally.note(
            f"no header: the first column is taken for times in {unit}, the second, with 0x, for "
            f"addresses"
        )
        return _PLAIN
    _suggest_plain(name, first, texts)
    raise InputError(f"{name}: has no header that names its columns; {_advice(first, options)}")


def _suggest_plain(name: str, first: bytes, texts: Sequence[bytes]) -> None:
    for mark in _OTHER_MARKS:
        parts = cells(first.strip(), mark)
        if len(texts) == 1 and len(parts) == 2 and _ADDRESS.fullmatch(parts[1]):
            raise InputError(
                f"{name}: its columns are apart by {_shown(mark)}: give --delimiter {_shown(mark)}"
            )


def _advice(first: bytes, options: ConvertOptions) -> str:
    """What to give so that a line can be read."""
    mark = options.delimiter.encode()
    texts = cells(first, mark)
    said = ""
    if len(texts) < 2:
        for other in _OTHER_MARKS:
            if len(cells(first.strip(), other)) > 1:
                texts = cells(first.strip(), other)
                said = f"--delimiter {_shown(other)} and "
                break
    shown = ", ".join(printable(text, 24) or "''" for text in texts[:8])
    count = "one column" if len(texts) == 1 else f"{len(texts)} columns"
    return (
        f"name them with {said}--columns, such as --columns time,address,- ({count}: {shown}; "
        f"--order-as-time where none is a time)"
    )


def _shown(mark: bytes) -> str:
    return {b"\t": "$'\\t'", b" ": "' '"}.get(mark, f"'{mark.decode()}'")


def _places(
    name: str, names: Sequence[str], first: bytes, options: ConvertOptions
) -> dict[str, int]:
    places: dict[str, int] = {}
    for at, column in enumerate(names[:_MOST_COLUMNS]):
        role = _ROLES.get(column)
        if role is None:
            continue
        if role in places:
            raise InputError(
                f"{name}: columns {names[places[role]]} and {column} say the same; name the one "
                f"to take with --columns, and - for the others"
            )
        places[role] = at
    has = ", ".join(names[:12])
    if not any(role in places for role in ADDRESSES):
        delimiter = "" if len(names) > 1 else f"; {_advice(first, options)}"
        raise InputError(
            f"{name}: no column is named as an address (address, vaddr, paddr, pfn, page, ...); "
            f"it has {has}{delimiter or '; name them with --columns'}"
        )
    if "time" not in places and options.order_as_time is None:
        raise InputError(
            f"{name}: no column is named as a time; it has {has}; name one with --columns, or "
            f"give --order-as-time RATE"
        )
    return places


def _unit(
    name: str,
    names: Sequence[str],
    places: dict[str, int],
    options: ConvertOptions,
    tally: ConvertTally,
) -> str:
    if "time" not in places or options.order_as_time is not None:
        return "us"
    column = names[places["time"]]
    unit = column.rpartition("_")[2]
    if unit == column:
        if options.time_unit is None and names is not _PLAIN:
            tally.note("times are taken for microseconds; --time-unit says otherwise")
        return options.time_unit or "us"
    if options.time_unit not in (None, unit):
        raise InputError(
            f"{name}: --time-unit {options.time_unit}: but the column is named {column}"
        )
    return unit
