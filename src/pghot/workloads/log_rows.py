"""The rows of an access log as units, in a window that follows the clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.errors import InputError
from pghot.workloads.page_units import PageUnits

if TYPE_CHECKING:
    from pghot.log.read import Chunk

Rows = npt.NDArray[np.int32]


class LogRows:
    """Reads through a log, once to number its pages and then for every lap.

    A unit is 2^`order` pages: `first_pfn` begins unit 0, or units are numbered as they
    first appear.  InputError where the log cannot be read, has a bad PFN, no row, or a
    page that is none of the units.
    """

    def __init__(
        self, path: Path | str, units: int, *, first_pfn: int | None = None, order: int = 0
    ) -> None:
        self.path = Path(path)
        self._units = units
        self._first_pfn = first_pfn
        self._order = np.uint64(order)
        self._met = PageUnits()
        self.rows = 0
        self.counts = np.zeros(units, np.int64)
        """Rows of each unit in the whole log."""
        for piece in self.lap():
            tally(piece, self.counts)
            self.rows += len(piece)
        if not self.rows:
            raise InputError(f"{self.path}: has no row to take accesses from")

    def lap(self) -> Iterator[Rows]:
        """Go through the log, piece by piece."""
        from pghot.log.read import open_log  # noqa: PLC0415 - few workloads are logs

        with open_log(self.path) as log:
            for chunk in log.chunks(("pfn",)):
                if log.ragged:
                    raise InputError(
                        f"{self.path}: row {log.ragged[0]}: has not as many columns as the header"
                    )
                yield self._units_of(chunk)

    def _units_of(self, chunk: Chunk) -> Rows:
        if "pfn" in chunk.bad:
            row = chunk.first_row + int(np.argmax(chunk.bad["pfn"]))
            raise InputError(f"{self.path}: row {row}, column pfn: missing, or not a number")
        pfn = chunk.columns["pfn"]
        if self._first_pfn is None:
            units = self._met.of(pfn >> self._order)
            if self._met.count > self._units:
                raise InputError(
                    f"{self.path}: touches more than the region's {self._units} units"
                )
            return units
        place = (pfn - np.uint64(self._first_pfn)) >> self._order
        outside = (pfn < self._first_pfn) | (place >= self._units)
        if outside.any():
            at = int(np.argmax(outside))
            raise InputError(
                f"{self.path}: row {chunk.first_row + at}, column pfn: "
                f"{pfn[at]}: not in the region's {self._units} units from {self._first_pfn}"
            )
        return place.astype(np.int32)


@compiled
def tally(rows: Any, counts: Any) -> None:
    """Count the rows of each unit."""
    for i in range(len(rows)):
        counts[rows[i]] += 1


class Window:
    """Rows around the clock: row number k, counted from 1, of a log that may go round.

    Rows that are behind are forgotten, so that memory follows the steps, not the log.
    """

    def __init__(self, rows: LogRows, *, wraps: bool) -> None:
        self._rows = rows
        self._wraps = wraps
        self._pieces = self._all()
        self._held: Rows = np.empty(0, np.int32)
        self._before = 0

    def _all(self) -> Iterator[Rows]:
        yield from self._rows.lap()
        while self._wraps:
            yield from self._rows.lap()

    def between(self, first: int, last: int) -> Rows:
        """Give rows first .. last, as far as there are any; none of them was forgotten."""
        pieces = [self._held]
        end = self._before + len(self._held)
        while end < last and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece)
            end += len(piece)
        if len(pieces) > 1:
            self._held = np.concatenate(pieces)
        return self._held[first - 1 - self._before : last - self._before]

    def forget(self, first: int) -> None:
        """Rows before `first` will not be asked for."""
        behind = min(first - 1 - self._before, len(self._held))
        if behind > 0:
            self._held = self._held[behind:]
            self._before += behind
