"""The files of a replay (R10): all of them at once, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from pghot.binning.forms import BINNED, Binned, binned_file
from pghot.binning.run_binner import RunBinner
from pghot.driving.observer import Begun, Observer
from pghot.engine.memory import U64Array
from pghot.engine.migrated import Batch, Migrated
from pghot.files.whole import Staging, whole_directory
from pghot.log.schema import Columns

SUMMARY, PROMOTIONS, RECORDS = "summary.json", "promotions.parquet", "records.npz"

PROMOTIONS_SCHEMA = pa.schema(
    [
        pa.field(name, kind, nullable=False)
        for name, kind in {
            "time_us": pa.uint64(),
            "pfn": pa.uint64(),
            "pages": pa.uint32(),
            "from_nid": pa.int16(),
            "to_nid": pa.int16(),
            "memcg": pa.uint32(),
            "batch": pa.uint32(),
        }.items()
    ]
)
ROWS_A_GROUP = 1 << 18
_U64_MAX = (1 << 64) - 1
"""The wake-up after the last instant that a log can name has no name of its own."""


class Summarised(Protocol):
    """A result that has a summary and records: of a replay, or of a live run."""

    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""

    def records(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of records.npz."""

    def binned(self, binner: RunBinner) -> Binned:
        """The content of binned.json."""


class Output(Observer):
    """Writes promotions as they come and the rest at the end, out of sight until then.

    `binner` takes in every row and wake-up meanwhile.
    """

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self.binner = RunBinner()
        self._writer = pa.parquet.ParquetWriter(
            staging.create(PROMOTIONS), PROMOTIONS_SCHEMA, compression="zstd"
        )
        self._batches: list[tuple[int, ...]] = []
        self._folios: list[tuple[U64Array, npt.NDArray[np.int64]]] = []
        self._rows = 0

    def begin(self, run: Begun) -> None:
        """Begin what is binned."""
        self.binner.begin(run)

    def rows(self, instant: int, rows: Columns) -> None:
        """Bin accesses."""
        self.binner.rows(instant, rows)

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:
        """Take the folios that moved, in the order they were migrated."""
        self.binner.migrated(instant, first, migrated)
        for number, batch in enumerate(migrated, first):
            self._add(instant, number, batch)

    def woken(self, instant: int, rows: int) -> None:
        """Bin how things are after a wake-up."""
        self.binner.woken(instant, rows)

    def _add(self, time_us: int, number: int, batch: Batch) -> None:
        folios = int(np.count_nonzero(batch.moved))
        if not folios:
            return
        time_us = min(time_us, _U64_MAX)
        self._batches.append((time_us, batch.from_nid, batch.to_nid, batch.memcg, number, folios))
        self._folios.append((batch.pfns[batch.moved], batch.pages[batch.moved]))
        self._rows += folios
        if self._rows >= ROWS_A_GROUP:
            self._flush()

    def finish(self, result: Summarised) -> None:
        """Write what is known only at the end."""
        self._flush()
        self._writer.close()
        text = json.dumps(result.summary(), indent=2) + "\n"
        self._staging.create(SUMMARY).write(text.encode())
        np.savez(self._staging.create(RECORDS), allow_pickle=False, **result.records())
        self._staging.create(BINNED).write(binned_file([result.binned(self.binner)]))

    def abandon(self) -> None:
        """Let go of the open file; a writer that has failed may fail to close as well."""
        with suppress(OSError, pa.ArrowException):
            self._writer.close()

    def _flush(self) -> None:
        if not self._rows:
            return
        time_us, from_nid, to_nid, memcg, number, folios = zip(*self._batches, strict=True)
        pfns, pages = zip(*self._folios, strict=True)
        columns = {
            "pfn": np.concatenate(pfns),
            "pages": np.concatenate(pages),
            **{
                name: np.repeat(np.array(values, np.uint64), folios)
                for name, values in {
                    "time_us": time_us,
                    "from_nid": from_nid,
                    "to_nid": to_nid,
                    "memcg": memcg,
                    "batch": number,
                }.items()
            },
        }
        arrays = [
            pa.array(columns[field.name].astype(field.type.to_pandas_dtype()))
            for field in PROMOTIONS_SCHEMA
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=PROMOTIONS_SCHEMA))
        self._batches.clear()
        self._folios.clear()
        self._rows = 0


@contextmanager
def output_directory(path: Path, *, force: bool = False) -> Iterator[Output]:
    """An `Output` whose files appear in `path` at a clean end, and only then.

    Errors are those of `whole_directory`.
    """
    with whole_directory(path, (BINNED, PROMOTIONS, RECORDS, SUMMARY), force=force) as staging:
        output = Output(staging)
        done = False
        try:
            yield output
            done = True
        finally:
            if not done:
                output.abandon()
