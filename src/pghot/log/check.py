"""What makes a row of a log unusable on a machine (R7.4)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.engine.pfn_ranges import merge, subtract, whole_sections
from pghot.engine.units import NID_MAX
from pghot.errors import InputError
from pghot.log.machine import Machine
from pghot.log.read import Chunk
from pghot.log.schema import SOURCES, Columns

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i8, i16, u8, u64
    from cython.cimports.pghot.engine.units import PFN_SECTION_SHIFT
else:
    from pghot.engine.arrays import i8, i16, u8, u64
    from pghot.engine.units import PFN_SECTION_SHIFT

OK, BACKWARDS, OUTSIDE, NO_NODE, NO_SOURCE, UNREADABLE = range(6)

_BACKWARDS = cython.declare(cython.int, BACKWARDS)
_OUTSIDE = cython.declare(cython.int, OUTSIDE)
_NO_NODE = cython.declare(cython.int, NO_NODE)
_NO_SOURCE = cython.declare(cython.int, NO_SOURCE)
_UNREADABLE = cython.declare(cython.int, UNREADABLE)

ABSENT, WHOLE, PARTLY = range(3)
"""What a machine has of a section: none of its pages, all, or some."""

_ABSENT = cython.declare(cython.uchar, ABSENT)
_PARTLY = cython.declare(cython.uchar, PARTLY)

_KINDS = {
    BACKWARDS: ("time_us", "time goes backwards"),
    OUTSIDE: ("pfn", "no such PFN on this machine"),
    NO_NODE: ("nid", "no such node on this machine"),
    NO_SOURCE: ("source", "no such source; there are hintfault (0) and hwhint (1)"),
}


class Places(NamedTuple):
    """Where a machine has memory.

    `sections` by number (ABSENT, WHOLE, PARTLY); `edges`: the first PFN of each range, and
    the one after its last, ascending; `nodes` by id, 1 where there is such a node.
    """

    sections: npt.NDArray[np.uint8]
    edges: npt.NDArray[np.uint64]
    nodes: npt.NDArray[np.uint8]


def first_bad(
    columns: Columns,
    unreadable: npt.NDArray[np.bool_],
    start: int,
    last_time: int,
    places: Places,
) -> tuple[int, int, int]:
    """Find the first bad row from `start` on: its index, its kind, the time before it.

    `unreadable` marks rows that have a value of no use; it may be empty.
    """
    time: cython.p_ulong = u64(columns["time_us"])
    pfn: cython.p_ulong = u64(columns["pfn"])
    nid: cython.p_short = i16(columns["nid"])
    source: cython.p_schar = i8(columns["source"])
    no_use: cython.p_uchar = u8(unreadable)
    has_section: cython.p_uchar = u8(places.sections)
    edge: cython.p_ulong = u64(places.edges)
    has_node: cython.p_uchar = u8(places.nodes)
    rows: cython.long = len(columns["time_us"])
    marked: cython.bint = len(unreadable) > 0
    sections: cython.ulong = len(places.sections)
    edges: cython.long = len(places.edges)
    node_ids: cython.long = len(places.nodes)
    sources: cython.long = len(SOURCES)
    last: cython.ulong = last_time
    section: cython.ulong
    kind: cython.int = OK
    i: cython.long = start
    with cython.nogil:
        while i < rows:
            section = pfn[i] >> PFN_SECTION_SHIFT
            if marked and no_use[i]:
                kind = _UNREADABLE
            elif time[i] < last:
                kind = _BACKWARDS
            elif (
                section >= sections
                or has_section[section] == _ABSENT
                or (has_section[section] == _PARTLY and not _is_within(edge, edges, pfn[i]))
            ):
                kind = _OUTSIDE
            elif nid[i] != -1 and (nid[i] < 0 or nid[i] >= node_ids or not has_node[nid[i]]):
                kind = _NO_NODE
            elif source[i] < 0 or source[i] >= sources:
                kind = _NO_SOURCE
            if kind:
                break
            last = time[i]
            i += 1
    return i, kind, last


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _is_within(edge: cython.p_ulong, edges: cython.long, pfn: cython.ulong) -> cython.bint:
    """Whether a PFN is in one of the ranges: after an odd number of their edges."""
    low: cython.long = 0
    high: cython.long = edges
    middle: cython.long
    while low < high:
        middle = (low + high) >> 1
        if edge[middle] <= pfn:
            low = middle + 1
        else:
            high = middle
    return (low & 1) == 1


def _places(machine: Machine) -> Places:
    """Lay out where a machine has memory."""
    ranges = merge(one for node in machine.nodes for one in node.ranges)
    whole = whole_sections(ranges)
    sections = np.zeros(whole[-1].end >> PFN_SECTION_SHIFT if whole else 0, np.uint8)
    for one in whole:
        first, end = (pfn >> PFN_SECTION_SHIFT for pfn in one)
        sections[first:end] = WHOLE
    partly = [hole.start >> PFN_SECTION_SHIFT for hole in subtract(whole, ranges)]
    sections[partly] = PARTLY
    nodes = np.zeros(NID_MAX + 1, np.uint8)
    nodes[[node.id for node in machine.nodes]] = 1
    return Places(sections, np.array(ranges, np.uint64).ravel(), nodes)


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
        self._places = _places(machine)

    def good_rows(self, chunk: Chunk) -> Columns:
        """The chunk's columns without bad rows."""
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
                columns, unreadable, start, self._last_time, self._places
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
