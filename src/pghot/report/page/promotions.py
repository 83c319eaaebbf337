"""`promotions.parquet` read in pieces: pages over time, and folios a batch."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from pghot.binning.forms import Histogram
from pghot.errors import InputError
from pghot.files.bounded import check_table
from pghot.files.parquet_pages import check_pages
from pghot.report.page.model import Values

PROMOTIONS = "promotions.parquet"
ROWS = 1 << 20
"""Rows read at once."""

_READ = ["time_us", "pages", "batch"]


def read_promotions(
    path: Path, step_us: int, columns: int
) -> tuple[Values | None, Histogram | None]:
    """The pages promoted in each column of time, and the sizes of batches.

    None, None where the directory has no such file.
    """
    name = path / PROMOTIONS
    if not name.exists():
        return None, None
    pages = np.zeros(columns)
    sizes = _BatchSizes()
    try:
        # A stream: pyarrow would take a name with a colon in it for a URI.
        with pa.OSFile(os.fsencode(name), "rb") as stream:
            table = pa.parquet.ParquetFile(stream)
            check_table(name, table.metadata, rows=1 << 40)  # read in pieces
            check_pages(name, stream, table.metadata, _READ)
            for piece in table.iter_batches(ROWS, columns=_READ, use_threads=False):
                time_us, moved, batch = (
                    column.to_numpy(zero_copy_only=False) for column in piece.columns
                )
                at = (np.maximum(time_us.astype(np.uint64), np.uint64(1)) - np.uint64(1)) // (
                    np.uint64(step_us)
                )
                at = np.minimum(at, np.uint64(columns - 1)).astype(np.int64)
                pages += np.bincount(at, moved, minlength=columns)
                sizes.add(batch.astype(np.int64))
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{name}: not what pghot writes: {why}") from error
    return pages, sizes.form()


class _BatchSizes:
    """Rows of one batch follow each other; one may go on in the next piece."""

    def __init__(self) -> None:
        self._counts = np.zeros(64, np.int64)
        self._open = (-1, 0)

    def add(self, batch: npt.NDArray[np.int64]) -> None:
        if not len(batch):
            return
        starts = np.flatnonzero(np.concatenate([[True], batch[1:] != batch[:-1]]))
        sizes = np.diff(np.concatenate([starts, [len(batch)]]))
        number, rows = self._open
        if batch[0] == number:
            sizes[0] += rows
        elif rows:
            self._count(np.array([rows]))
        self._count(sizes[:-1])
        self._open = (int(batch[-1]), int(sizes[-1]))

    def form(self) -> Histogram | None:
        if self._open[1]:
            self._count(np.array([self._open[1]]))
            self._open = (-1, 0)
        used = np.flatnonzero(self._counts)
        if not len(used):
            return None
        exponents = range(int(used[0]), int(used[-1]) + 1)
        return Histogram(
            upto=[float(1 << exponent) for exponent in exponents],
            counts=[int(self._counts[exponent]) for exponent in exponents],
        )

    def _count(self, sizes: npt.NDArray[np.int64]) -> None:
        exponents = np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)
        self._counts += np.bincount(exponents, minlength=64)
