"""What every reader of a foreign format hands over, and what it counts on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.log.schema import Columns

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


@dataclass(frozen=True, slots=True)
class Options:
    """How to read a foreign format; each reader looks at what concerns it."""

    addresses: str = "auto"
    skip_bad: bool = False
    time_unit: str = "us"
    delimiter: str = ","
    llc: Llc = Llc()
    ips: int = INSTRUCTIONS_PER_SECOND


@dataclass(slots=True)
class Tally:
    """Rows seen, rows left out by reason, and remarks for the user; filled while reading."""

    rows_in: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, reason: str, rows: int) -> None:
        """Count rows that do not get into the log; none is no entry."""
        if rows:
            self.left_out[reason] += rows


@dataclass(frozen=True, slots=True)
class Opened:
    """A foreign file whose layout is known.

    Every item of `chunks` has `time_us` (of the file's own clock, never falling), `address`
    (uint64) and the arrays of `columns`, all of one length.
    """

    format: str
    physical: bool
    columns: tuple[str, ...]
    chunks: Iterator[Columns]
    taken: str


def use_physical(name: str, wanted: str, *, physical: bool, virtual: bool, remedy: str) -> bool:
    """Decide for a whole file which addresses count; say which kinds it has.

    InputError where the wanted kind is missing; `remedy` ends that line.
    """
    if wanted == "auto":
        wanted = "physical" if physical else "virtual"
    if not (physical if wanted == "physical" else virtual):
        raise InputError(f"{name}: has no {wanted} addresses; {remedy}")
    return wanted == "physical"


def with_address(rows: Columns, tally: Tally, *, physical: bool) -> Columns:
    """Keep the rows whose chosen address is known (not 0), and count the others."""
    known = rows["address"] != 0
    kept = int(np.count_nonzero(known))
    if kept == len(known):
        return rows
    reason = "no physical address" if physical else "no address"
    tally.leave_out(reason, len(known) - kept)
    return {name: array[known] for name, array in rows.items()}
