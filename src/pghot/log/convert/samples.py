"""What every reader of a foreign format hands over, and what it counts on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.regions import MappedRegion
from pghot.log.schema import PAGE_SIZE, SOURCES, Columns

U64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

ADDRESSES = ("auto", "physical", "virtual")
TIME_UNITS = ("s", "ms", "us", "ns")
INSTRUCTIONS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Llc:
    """The last-level cache that a lackey trace passes: bytes, ways, bytes a line.

    A `size` of 0 is no cache: every access goes to memory.
    """

    size: int = 8 << 20
    ways: int = 16
    line: int = 64

    @property
    def words(self) -> str:
        """What the cache is, for people."""
        if not self.size:
            return "no cache"
        return f"a cache of {self.size} bytes, {self.ways} ways, {self.line} bytes a line"


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """How to read a foreign format; each reader looks at what concerns it."""

    addresses: str = "auto"
    skip_bad: bool = False
    time_unit: str | None = None
    """Of the times in CSV; None: as the column's name says, else microseconds."""
    delimiter: str = ","
    llc: Llc = Llc()
    ips: int = INSTRUCTIONS_PER_SECOND
    fields: tuple[str, ...] | None = None
    """What `perf script -F` was given."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of CSV that has no header."""
    order_as_time: int | None = None
    """Accesses a second, for what has no time but its order."""
    page_size: int = PAGE_SIZE
    """Bytes of a page of the machine that the trace is of."""


@dataclass(slots=True)
class ConvertTally:
    """Rows seen, rows left out by reason, and remarks for the user; filled while reading."""

    rows_in: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    """What is to be told with its number, by words that follow the number."""
    events: Counter[str] = field(default_factory=Counter)
    """Rows by the event that they are samples of, where the trace names events."""

    def leave_out(self, reason: str, rows: int) -> None:
        """Count rows that do not get into the log; none is no entry."""
        if rows:
            self.left_out[reason] += rows

    def tell(self, words: str, number: int) -> None:
        """Add to a number that the user is told at the end; none is not told."""
        if number:
            self.told[words] += number

    def note(self, remark: str) -> None:
        """Add a remark, once."""
        if remark not in self.notes:
            self.notes.append(remark)

    def remarks(self) -> tuple[str, ...]:
        """All that the user is to be told."""
        return (*self.notes, *(f"{number} {words}" for words, number in self.told.items()))


@dataclass(frozen=True, slots=True)
class Opened:
    """A foreign file whose layout is known.

    Every item of `chunks` has `time_us` (of the file's own clock, never falling), `address`
    (uint64) and the arrays of `columns`, all of one length.  It may have `source` (int8)
    where the trace tells, `nid` (int16), and `owner` (int32): whose the virtual addresses
    are, where that is no pid.
    """

    format: str
    physical: bool
    columns: tuple[str, ...]
    chunks: Iterator[Columns]
    taken: str
    tool: str = ""
    """The program that took the trace, as far as that is known."""
    virtual_clock: str = ""
    """Option that sets how long the log lasts, where its time is none of a clock."""
    every_access: bool = False
    """Whether the trace lists all accesses, so that each row is one."""
    regions: tuple[MappedRegion, ...] = ()
    """Mappings of the processes, in the order in which they were made."""


def use_physical(name: str, wanted: str, *, physical: bool, virtual: bool, remedy: str) -> bool:
    """Which addresses count, for the whole file; which kinds it has.

    InputError where the wanted kind is missing; `remedy` ends that line.
    """
    if wanted == "auto":
        wanted = "physical" if physical else "virtual"
    if not (physical if wanted == "physical" else virtual):
        raise InputError(f"{name}: has no {wanted} addresses; {remedy}")
    return wanted == "physical"


def with_address(rows: Columns, tally: ConvertTally, *, physical: bool) -> Columns:
    """Keep the rows whose chosen address is known (not 0), and count the others."""
    known = rows["address"] != 0
    kept = int(np.count_nonzero(known))
    if kept == len(known):
        return rows
    reason = "no physical address" if physical else "no address"
    tally.leave_out(reason, len(known) - kept)
    return {name: array[known] for name, array in rows.items()}


_FAULTS = re.compile(
    rb"(?:(?:page-|minor-|major-)?faults|(?:exceptions:)?page_fault_(?:user|kernel))(?::[a-zA-Z]*)?"
)


def source_of(event: bytes) -> int:
    """The `source` of an event's samples: page faults are hint faults, all others hardware's."""
    return SOURCES["hintfault" if _FAULTS.fullmatch(event) else "hwhint"]


def ordinal_times(first: int, rows: int, rate: int) -> U64Array:
    """Times in microseconds of accesses numbered from `first`, `rate` of them a second."""
    numbers = np.arange(first, first + rows, dtype=np.uint64)
    whole, over = numbers // np.uint64(rate), numbers % np.uint64(rate)
    return whole * np.uint64(1_000_000) + over * np.uint64(1_000_000) // np.uint64(rate)
