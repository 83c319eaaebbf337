"""The files of `pghot sim -o DIR`: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from pghot.binning.forms import BINNED, binned_file
from pghot.files.whole import Staging, whole_directory
from pghot.report.comparison import Comparison
from pghot.simulated.result import Outcome

SCENARIO, TIMELINE, SUMMARY = "scenario.json", "timeline.parquet", "summary.json"
FILES = (BINNED, SCENARIO, TIMELINE, SUMMARY)
_FLOATS = ("time_s", "accesses", "fast_accesses", "hot_fast")
_INTS = ("promoted", "demoted", "hint_faults", "samples")


class SimOutput:
    """Takes the comparison at the end."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging

    def finish(self, comparison: Comparison) -> None:
        """Write all files, out of sight until the directory is published."""
        binned = [outcome.binned for outcome in comparison.outcomes if outcome.binned]
        self._staging.create(BINNED).write(binned_file(binned))
        self._write(SCENARIO, comparison.settings())
        tables = [timeline_table(outcome) for outcome in comparison.outcomes]
        pa.parquet.write_table(
            pa.concat_tables(tables), self._staging.create(TIMELINE), compression="zstd"
        )
        self._write(SUMMARY, comparison.summary())

    def _write(self, name: str, content: object) -> None:
        self._staging.create(name).write((json.dumps(content, indent=2) + "\n").encode())


def timeline_table(outcome: Outcome) -> pa.Table:
    """A timeline as a table: its policy, its columns, the free pages of each node."""
    timeline = outcome.timeline
    columns = {"policy": pa.array([outcome.policy] * len(timeline.time_s), pa.string())}
    for name in _FLOATS:
        columns[name] = pa.array(np.asarray(getattr(timeline, name), np.float64))
    for name in _INTS:
        columns[name] = pa.array(np.asarray(getattr(timeline, name), np.int64))
    for place, nid in enumerate(timeline.nids):
        columns[f"free_{nid}"] = pa.array(timeline.free[:, place].astype(np.int64))
    return pa.table(columns)


@contextmanager
def sim_directory(path: Path, *, force: bool = False) -> Iterator[SimOutput]:
    """A `SimOutput` whose files appear in `path` at a clean end, and only then."""
    with whole_directory(path, FILES, force=force) as staging:
        yield SimOutput(staging)
