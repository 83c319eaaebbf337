"""Accesses as a writer outside of this process sends them (docs/external.md): two forms.

The binary one begins with MAGIC, then come records of RECORD bytes, little-endian.  The text
one has a line an access, and lines that begin with `#` say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAGIC = b"PGHOTAC1"
"""First bytes of the binary form; no line of text begins like this."""

DTYPE = np.dtype(
    [
        ("time_ns", "<u8"),
        ("where", "<u8"),
        ("pid", "<i4"),
        ("nr", "<u4"),
        ("pages", "<u4"),
        ("nid", "<i2"),
        ("flags", "<u2"),
    ]
)
"""An access: ns of CLOCK_MONOTONIC (0: when it is read); a PFN where `pid` is 0, else an address
of that process; how many accesses; pages from there on; node of who accessed, -1 unknown."""

RECORD = DTYPE.itemsize
LONGEST_LINE = 256
"""Bytes of a line, its end among them."""

WRITE = 1
"""The one flag: the access stored."""

MOST_PAGES = 1 << 18
"""Pages of a range: 1 GiB of 4 KiB."""

AHEAD_NS = 1_000_000_000
"""How far ahead of our clock a time may be; one of another clock (the epoch's) is far beyond."""

_PAGE_BITS = np.uint64(52)
_ADDRESS_BITS = np.uint64(63)

_LINE = re.compile(
    rb"[ \t]*(?:(-|[0-9]{1,20})[ \t]+(?:([0-9]{1,10}):)?(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})"
    rb"(?:[ \t]+(-?[0-9]{1,5})(?:[ \t]+([0-9]{1,10})(?:[ \t]+([0-9]{1,10})(?:[ \t]+(w))?)?)?)?"
    rb"[ \t]*)?(?:#.*)?\r?"
)
_WANTED = "TIME PFN|PID:ADDRESS [NODE [COUNT [PAGES [w]]]]"

Records = npt.NDArray[np.void]


class Bad(NamedTuple):
    """The first of what made no sense: its number among what was decoded, from 0; and why."""

    at: int
    why: str


class Decoded(NamedTuple):
    """The accesses that make sense, how many do not, and the first of those.

    `items` counts records or lines, those that say nothing among them.
    """

    records: Records
    items: int
    bad: int = 0
    first: Bad | None = None


def from_bytes(data: bytes, now_ns: int, nids: Sequence[int]) -> Decoded:
    """Whole records of the binary form."""
    return _checked(np.frombuffer(data, DTYPE), None, now_ns, nids)


def from_lines(data: bytes, now_ns: int, nids: Sequence[int]) -> Decoded:
    """Whole lines of the text form."""
    lines = data.split(b"\n")[:-1]
    rows, places, wrong = [], [], []
    for at, line in enumerate(lines):
        match = _LINE.fullmatch(line)
        if match is None:
            wrong.append(at)
        elif match[1] is not None:
            rows.append(_row(*match.groups()))
            places.append(at)
    fits = [_fits(row) for row in rows]
    wrong += [at for at, good in zip(places, fits, strict=True) if not good]
    rows = [row for row, good in zip(rows, fits, strict=True) if good]
    places = [at for at, good in zip(places, fits, strict=True) if good]
    done = _checked(np.array(rows, DTYPE), places, now_ns, nids)
    first = min((at for at in wrong), default=None)
    if first is None:
        return done._replace(items=len(lines))
    told = Bad(first, f"{lines[first][:60].decode(errors='backslashreplace')!r}: wants {_WANTED}")
    earlier = done.first if done.first is not None and done.first.at < first else told
    return Decoded(done.records, len(lines), done.bad + len(wrong), earlier)


def _row(
    time: bytes,
    pid: bytes | None,
    where: bytes,
    nid: bytes | None,
    nr: bytes | None,
    pages: bytes | None,
    write: bytes | None,
) -> tuple[int, ...]:
    return (
        0 if time == b"-" else int(time),
        int(where, 16) if where[1:2] == b"x" else int(where),
        0 if pid is None else int(pid) or -1,  # process 0 is no process, nor a PFN
        1 if nr is None else int(nr),
        1 if pages is None else int(pages),
        -1 if nid is None else int(nid),
        0 if write is None else WRITE,
    )


def _fits(row: tuple[int, ...]) -> bool:
    """Whether the numbers of a line fit the record."""
    time, where, pid, nr, pages, nid, _flags = row
    return (
        max(time, where) < 1 << 64
        and pid < 1 << 31
        and max(nr, pages) < 1 << 32
        and -(1 << 15) <= nid < 1 << 15
    )


def _checked(
    records: Records, places: Sequence[int] | None, now_ns: int, nids: Sequence[int]
) -> Decoded:
    """The records that can be; `places` are their numbers, None where each follows the other."""
    found: Bad | None = None
    good = np.ones(len(records), np.bool_)
    for field, wrong, wants in _rules(records, now_ns, nids):
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            place = at if places is None else places[at]
            if found is None or place < found.at:
                found = Bad(place, f"{field} {records[_OF[field]][at]}: {wants}")
            good &= ~wrong
    bad = int(len(good) - np.count_nonzero(good))
    return Decoded(records if not bad else records[good], len(records), bad, found)


_OF = {
    "time": "time_ns",
    "PFN": "where",
    "address": "where",
    "pid": "pid",
    "count": "nr",
    "pages": "pages",
    "node": "nid",
    "flags": "flags",
}
"""The field of a record by what a person calls it."""


def _rules(
    records: Records, now_ns: int, nids: Sequence[int]
) -> list[tuple[str, npt.NDArray[np.bool_], str]]:
    """What cannot be: the field, the records where it is so, and what was wanted."""
    pid, where = records["pid"], records["where"]
    latest = np.uint64(now_ns + AHEAD_NS)
    known = ", ".join(map(str, nids))
    return [
        ("time", records["time_ns"] > latest, "ahead of CLOCK_MONOTONIC: of another clock?"),
        ("pid", pid < 0, "wants a process, or 0 for a PFN"),
        ("PFN", (pid == 0) & (where >> _PAGE_BITS != 0), "wants less than 2^52"),
        ("address", (pid > 0) & (where >> _ADDRESS_BITS != 0), "wants one of a process"),
        ("count", records["nr"] == 0, "wants 1 or more"),
        (
            "pages",
            (records["pages"] == 0) | (records["pages"] > MOST_PAGES),
            f"wants 1 to {MOST_PAGES:,}",
        ),
        ("node", ~np.isin(records["nid"], [-1, *nids]), f"wants -1 or one of {known}"),
        ("flags", records["flags"] & ~np.uint16(WRITE) != 0, "wants 0 or 1 (a write)"),
    ]
