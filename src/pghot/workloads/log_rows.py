"""The rows of an access log as folios, all of them at hand or as far as the clock needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cython
import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.workloads.page_folios import PageFolios

if TYPE_CHECKING:
    from pghot.log.read import Chunk, Log

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i32, i64, u8, u64
else:
    from pghot.engine.arrays import i32, i64, u8, u64

Rows = npt.NDArray[np.int32]

MOST_KEPT = 1 << 26
"""Rows that are kept in memory, 256 MiB of them; a longer log is read again for every lap."""

_FEW = 1 << 16


class LogRows:
    """Reads through a log, to number its pages and count its rows; a long one again each lap.

    A folio is 2^`order` pages: `first_pfn` begins folio 0, or folios are numbered as they
    first appear.  InputError where the log cannot be read, has a bad PFN, no row, or a
    page that is none of the folios.
    """

    def __init__(
        self, path: Path | str, folios: int, *, first_pfn: int | None = None, order: int = 0
    ) -> None:
        self.path = Path(path)
        self._folios = folios
        self._first_pfn = first_pfn
        self._order = np.uint64(order)
        self._met = PageFolios()
        self.rows = 0
        self.counts = np.zeros(folios, np.int64)
        """Rows of each folio in the whole log."""
        self.kept: Rows | None = None
        """All rows; None where they are too many to keep."""
        self._go_through()

    def _go_through(self) -> None:
        """Count the rows, and keep them while they are not too many."""
        bytes_of = np.zeros(self._folios, np.uint8)
        kept = np.empty(0, np.int32)
        with _opened(self.path) as log:
            for piece in self._pieces(log):
                _tally(piece, bytes_of, self.counts)
                rows = self.rows + len(piece)
                if rows <= MOST_KEPT:
                    if rows > len(kept):
                        kept = _longer(kept, self.rows, max(log.rows or 2 * rows, rows, _FEW))
                    kept[self.rows : rows] = piece
                else:
                    kept = np.empty(0, np.int32)
                self.rows = rows
        self.counts += bytes_of
        if not self.rows:
            raise InputError(f"{self.path}: has no row to take accesses from")
        if self.rows <= MOST_KEPT:
            self.kept = kept[: self.rows]

    def lap(self) -> Iterator[Rows]:
        """Go through the log, piece by piece."""
        with _opened(self.path) as log:
            yield from self._pieces(log)

    def _pieces(self, log: Log) -> Iterator[Rows]:
        for chunk in log.chunks(("pfn",)):
            if log.ragged:
                raise InputError(
                    f"{self.path}: row {log.ragged[0]}: has not as many columns as the header"
                )
            yield self._folios_of(chunk)

    def _folios_of(self, chunk: Chunk) -> Rows:
        if "pfn" in chunk.bad:
            row = chunk.first_row + int(np.argmax(chunk.bad["pfn"]))
            raise InputError(f"{self.path}: row {row}, column pfn: missing, or not a number")
        pfn = chunk.columns["pfn"]
        if self._first_pfn is None:
            folios = self._met.of(pfn >> self._order)
            if self._met.count > self._folios:
                raise InputError(
                    f"{self.path}: touches more than the region's {self._folios} folios"
                )
            return folios
        folios = np.empty(len(pfn), np.int32)
        at = _place(pfn, self._first_pfn, int(self._order), self._folios, folios)
        if at < len(pfn):
            raise InputError(
                f"{self.path}: row {chunk.first_row + at}, column pfn: "
                f"{pfn[at]}: not in the region's {self._folios} folios from {self._first_pfn}"
            )
        return folios


def _opened(path: Path) -> AbstractContextManager[Log]:
    from pghot.log.read import open_log  # noqa: PLC0415 - few workloads are logs

    return open_log(path)


class LogWindow(Protocol):
    """Rows around the clock: row number k, counted from 1, of a log that may go round."""

    @property
    def held(self) -> int:
        """Rows that wait in memory of the window's own."""

    def between(self, first: int, last: int) -> Rows:
        """Rows first .. last, as far as there are any; none of them was forgotten."""

    def forget(self, first: int) -> None:
        """Rows before `first` will not be asked for."""


def window(rows: LogRows, *, wraps: bool) -> LogWindow:
    """A window on the rows that are kept, or one that reads the log as it goes."""
    return _Reading(rows, wraps=wraps) if rows.kept is None else _OfKept(rows.kept, wraps=wraps)


class _OfKept:
    """A window on all rows."""

    held = 0

    def __init__(self, rows: Rows, *, wraps: bool) -> None:
        self._rows = rows
        self._wraps = wraps

    def between(self, first: int, last: int) -> Rows:
        """Rows first .. last (`LogWindow`)."""
        rows = self._rows
        if not self._wraps:
            return rows[first - 1 : last]
        start = (first - 1) % len(rows)
        end = start + last - (first - 1)
        if end <= len(rows):
            return rows[start:end]
        laps, rest = divmod(end - len(rows), len(rows))
        return np.concatenate([rows[start:], *[rows] * laps, rows[:rest]])

    def forget(self, first: int) -> None:
        """Do nothing: all rows are kept (`LogWindow`)."""


class _Reading:
    """A window whose rows are read as they are wanted, so that memory follows the steps."""

    def __init__(self, rows: LogRows, *, wraps: bool) -> None:
        self._rows = rows
        self._wraps = wraps
        self._pieces = self._all()
        self._here: Rows = np.empty(0, np.int32)
        self._before = 0

    @property
    def held(self) -> int:
        """Rows that wait here (`LogWindow`)."""
        return len(self._here)

    def _all(self) -> Iterator[Rows]:
        yield from self._rows.lap()
        while self._wraps:
            yield from self._rows.lap()

    def between(self, first: int, last: int) -> Rows:
        """Rows first .. last (`LogWindow`)."""
        pieces = [self._here]
        end = self._before + len(self._here)
        while end < last and (piece := next(self._pieces, None)) is not None:
            pieces.append(piece)
            end += len(piece)
        if len(pieces) > 1:
            self._here = np.concatenate(pieces)
        return self._here[first - 1 - self._before : last - self._before]

    def forget(self, first: int) -> None:
        """Drop the rows before `first` (`LogWindow`)."""
        behind = min(first - 1 - self._before, len(self._here))
        if behind > 0:
            self._here = self._here[behind:]
            self._before += behind


def _longer(rows: Rows, count: int, room: int) -> Rows:
    """The first `count` rows with room for more; what is not filled takes no memory yet."""
    longer = np.empty(min(room, MOST_KEPT), np.int32)
    longer[:count] = rows[:count]
    return longer


def _tally(rows: Rows, bytes_of: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> None:
    """Count the rows of each folio: the count's last byte in an array of its own.

    Most rows so touch an array that the caches hold, where the counts are too many for them.
    """
    row: cython.p_int = i32(rows)
    byte: cython.p_uchar = u8(bytes_of)
    count: cython.p_long = i64(counts)
    length: cython.long = len(rows)
    folio: cython.long
    i: cython.long
    with cython.nogil:
        for i in range(length):
            folio = row[i]
            if byte[folio] == 255:
                byte[folio] = 0
                count[folio] += 256
            else:
                byte[folio] += 1


def _place(
    pfns: npt.NDArray[np.uint64],
    first_pfn: cython.ulong,
    order: cython.ulong,
    folios: cython.ulong,
    out: Rows,
) -> int:
    """Write the folio of each row's PFN, up to the first row of no folio: which one that is."""
    pfn: cython.p_ulong = u64(pfns)
    folio: cython.p_int = i32(out)
    rows: cython.long = len(pfns)
    i: cython.long = 0
    with cython.nogil:
        while i < rows and pfn[i] >= first_pfn and (pfn[i] - first_pfn) >> order < folios:
            folio[i] = (pfn[i] - first_pfn) >> order
            i += 1
    return i
