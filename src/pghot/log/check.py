"""What makes a row of a log unusable on a machine (replay.md, "Rejected")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.units import NID_MAX, PFN_SECTION_SHIFT
from pghot.errors import InputError
from pghot.log.machine import Machine
from pghot.log.read import Chunk
from pghot.log.schema import SOURCES, Columns

OK, BACKWARDS, OUTSIDE, NO_NODE, NO_SOURCE, UNREADABLE = range(6)

_KINDS = {
    BACKWARDS: ("time_us", "time goes backwards"),
    OUTSIDE: ("pfn", "no such PFN on this machine"),
    NO_NODE: ("nid", "no such node on this machine"),
    NO_SOURCE: ("source", "no such source; there are hintfault (0) and hwhint (1)"),
}


@compiled
def first_bad(
    time: npt.NDArray[np.uint64],
    pfn: npt.NDArray[np.uint64],
    nid: npt.NDArray[np.int16],
    source: npt.NDArray[np.int8],
    unreadable: npt.NDArray[np.bool_],
    start: int,
    last_time: int,
    present: npt.NDArray[np.uint8],
    nodes: npt.NDArray[np.uint8],
    sources: int,
) -> Any:
    """Find the first bad row from `start` on: its index, its kind, the time before it.

    `unreadable` marks rows that have a value of no use; it may be empty.  `present` is by
    section number, `nodes` by node id.
    """
    last = np.uint64(last_time)
    for i in range(start, len(time)):
        if len(unreadable) and unreadable[i]:
            return i, UNREADABLE, last
        if time[i] < last:
            return i, BACKWARDS, last
        section = pfn[i] >> np.uint64(PFN_SECTION_SHIFT)
        if section >= np.uint64(len(present)) or not present[section]:
            return i, OUTSIDE, last
        node = np.int64(nid[i])
        if node != -1 and (node < 0 or node >= len(nodes) or not nodes[node]):
            return i, NO_NODE, last
        if source[i] < 0 or source[i] >= sources:
            return i, NO_SOURCE, last
        last = time[i]
    return len(time), OK, last


class RowCheck:
    """Checks a log's rows, chunk after chunk.

    `ragged` is the log's list of rows that its chunks leave out.  `skip_bad` counts bad
    rows in `skipped` instead of raising InputError at the first.
    """

    def __init__(
        self,
        path: Path,
        machine: Machine,
        *,
        ragged: list[int] | None = None,
        skip_bad: bool = False,
    ) -> None:
        self._ragged = ragged if ragged is not None else []
        self._ragged_seen = 0
        self._path = path
        self._skip_bad = skip_bad
        self.skipped = 0
        self._last_time = 0
        ends = [node.end_pfn >> PFN_SECTION_SHIFT for node in machine.nodes]
        self._present = np.zeros(max(ends), np.uint8)
        self._nodes = np.zeros(NID_MAX + 1, np.uint8)
        for node in machine.nodes:
            first, end = (pfn >> PFN_SECTION_SHIFT for pfn in (node.start_pfn, node.end_pfn))
            self._present[first:end] = 1
            self._nodes[node.id] = 1

    def good_rows(self, chunk: Chunk) -> Columns:
        """Give the chunk's columns without bad rows."""
        self.look_for_ragged()
        bad_at = list(self._bad_rows(chunk))
        if not bad_at:
            return chunk.columns
        keep = np.ones(len(chunk), np.bool_)
        keep[bad_at] = False
        self.skipped += len(bad_at)
        return {name: values[keep] for name, values in chunk.columns.items()}

    def look_for_ragged(self) -> None:
        """Take note of rows that the log has left out; also to be called at its end."""
        fresh = self._ragged[self._ragged_seen :]
        if fresh and not self._skip_bad:
            raise InputError(
                f"{self._path}: row {fresh[0]}: has not as many columns as the header "
                "(--skip-bad skips such rows)"
            )
        self.skipped += len(fresh)
        self._ragged_seen += len(fresh)

    def _bad_rows(self, chunk: Chunk) -> Iterator[int]:
        columns = chunk.columns
        unreadable = np.zeros(0, np.bool_)
        for wrong in chunk.bad.values():
            unreadable = wrong if not len(unreadable) else unreadable | wrong
        start = 0
        while start < len(chunk):
            at, kind, self._last_time = first_bad(
                columns["time_us"],
                columns["pfn"],
                columns["nid"],
                columns["source"],
                unreadable,
                start,
                self._last_time,
                self._present,
                self._nodes,
                len(SOURCES),
            )
            if kind == OK:
                return
            if not self._skip_bad:
                raise InputError(self._line(chunk, at, kind))
            yield at
            start = at + 1

    def _line(self, chunk: Chunk, at: int, kind: int) -> str:
        row = chunk.first_row + at
        if kind == UNREADABLE:
            column = next(name for name, wrong in chunk.bad.items() if wrong[at])
            what = "missing, or not a number that fits"
            if column == "source":
                what = f"missing, or {_KINDS[NO_SOURCE][1]}"
        else:
            column, what = _KINDS[kind]
            value = chunk.columns[column][at]
            if kind == BACKWARDS:
                what = f"{value} after {self._last_time}: {what}"
            else:
                what = f"{value}: {what}"
        return f"{self._path}: row {row}, column {column}: {what} (--skip-bad skips such rows)"
