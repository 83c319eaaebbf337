"""Recording accesses, in blocks (behaviour.md 2; patches 3 and 4).

The places of the next block are found, and its cache lines asked for, before or while one
is recorded.  A block of which little is to be said goes as a whole (`quick`); the rows of
any other go through the nine rules one by one (`rules`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine import quick
from pghot.engine.jit import compiled
from pghot.engine.records import all_equal, same_bucket
from pghot.engine.rules import (
    BORN,
    EINVALS,
    HARDWARE,
    ON_TOP,
    RECORDED,
    SOURCES,
    TAKE,
    TAKEN,
    TALLIES,
    one_by_one,
    verdict,
)
from pghot.engine.units import NID_MAX, NUMA_NO_NODE
from pghot.engine.vmstat import RECORDED_ACCESSES, RECORDED_BY

PGHOT_HINTFAULTS = 0
PGHOT_HWHINTS = 1

REFUSED, ON_TOPTIER, BORN_ON_TOPTIER = range(3)
"""Places in the recorder's own counts: accesses refused with EINVAL; accesses whose page
was on a top-tier node; accesses whose page would be there had nothing been promoted."""
COUNTS = 3

BLOCK = 128
"""Rows that are recorded together."""


class Accesses(NamedTuple):
    """Accesses in time order, one item each; times in jiffies, ascending."""

    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    source: npt.NDArray[np.int8]
    now: npt.NDArray[np.uint64]


class Nodes(NamedTuple):
    """What the recorder knows of nodes, by id; it raises `activate`."""

    toptier: npt.NDArray[np.uint8]
    online: npt.NDArray[np.uint8]
    activate: npt.NDArray[np.uint8]


class Settings(NamedTuple):
    """What a record is updated by: the window in jiffies, and `Layout.table`."""

    enabled: int
    target_nid: int
    precise: bool
    window: int
    table: npt.NDArray[np.uint8] | npt.NDArray[np.uint32]


@compiled
def record_many(
    accesses: Any, pages: Any, maps: Any, nodes: Any, settings: Any, events: Any, counts: Any
) -> None:
    """Record accesses in order, by the nine rules; `events` and `counts` are added to."""
    pfns, nids, sources, now = accesses
    slot_of, _section, section_nid, _compounds, _facts, flags, compound, page_nid, _m = pages
    records, has_map, hot, touched = maps
    toptier, online, activate = nodes
    enabled, target_nid, precise, window, table = settings
    sections = quick.sections_of(pages, has_map, toptier)
    marks = np.zeros(len(section_nid), np.uint8)
    tally = np.zeros(TALLIES, np.int64)
    places = np.empty(2 * BLOCK, np.uint64)
    kept, when = np.empty(BLOCK, np.uint64), np.empty(BLOCK, np.uint64)
    count, block = np.uint64(len(pfns)), np.uint64(BLOCK)
    first = at = np.uint64(0)
    end = min(block, count)
    said = quick.locate(pfns, first, end, sections, flags, page_nid, records, places, at)
    while first < count:
        size, after = end - first, min(end + block, count)
        here, at = at, block - at
        alike = all_equal(nids, first, end) and all_equal(sources, first, end)
        nid, source = np.int64(nids[first]), np.int64(sources[first])
        finding = verdict(nid, source, enabled, precise, toptier, online)
        # A node below the top tier may be the page's own: rule 5 has to look.
        foreign = nid == NUMA_NO_NODE or (0 <= nid <= NID_MAX and toptier[nid] != 0)
        simple = alike and foreign and finding == TAKE and not said & quick.ABSENT
        target = target_nid if nid == NUMA_NO_NODE else nid
        staying, born = size, np.uint64(0)
        if simple and not said and after - end == size and one_time(now, first, end, precise):
            said = quick.update_and_locate(
                records, places, here, at, now[first], pfns, end, size, sections, flags, page_nid,
                target, precise, window, table, marks,
            )  # fmt: skip
        else:
            said = quick.locate(pfns, end, after, sections, flags, page_nid, records, places, at)
            if simple:
                staying, born, simple = quick.settle(
                    places, here, now, pfns, first, size, sections, flags, page_nid, toptier,
                    kept, when,
                )  # fmt: skip
            if simple:
                quick.update_rows(
                    records, kept, when, staying, target, precise, window, table, marks
                )
            else:
                one_by_one(
                    pfns, nids, sources, now, first, end, places, here, sections,
                    slot_of, section_nid, flags, compound, page_nid,
                    records, has_map, hot, touched, toptier, online, activate,
                    enabled, target_nid, precise, window, table, tally,
                )  # fmt: skip
        if simple:
            tally[TAKEN] += np.int64(size)
            tally[HARDWARE] += source * np.int64(size)
            tally[RECORDED] += np.int64(staying)
            tally[ON_TOP] += np.int64(size - staying)
            tally[BORN] += np.int64(born)
        first, end = end, after
    raise_flags(marks, section_nid, touched, hot, activate)
    counts[BORN_ON_TOPTIER] += tally[BORN]
    counts[ON_TOPTIER] += tally[ON_TOP]
    counts[REFUSED] += tally[EINVALS]
    events[RECORDED_BY + PGHOT_HWHINTS] += tally[HARDWARE]
    events[RECORDED_BY + PGHOT_HINTFAULTS] += tally[TAKEN] - tally[HARDWARE]
    events[RECORDED_ACCESSES] += tally[RECORDED]


@compiled
def one_time(now: Any, first: Any, end: Any, precise: bool) -> bool:
    """Tell whether the records of the rows [first, end) all get the same time."""
    last = now[end - np.uint64(1)]
    return now[first] == last if precise else same_bucket(now[first], last)


@compiled
def raise_flags(marks: Any, section_nid: Any, touched: Any, hot: Any, activate: Any) -> None:
    """Raise the flags of sections, and of their nodes, that `quick` has left marks on."""
    for slot in range(len(marks)):
        if marks[slot]:
            touched[slot] = 1
        if marks[slot] & quick.READY:
            hot[slot] = 1
            activate[section_nid[slot]] = 1


def as_accesses(
    pfn: npt.ArrayLike, nid: npt.ArrayLike, source: npt.ArrayLike, now: npt.ArrayLike
) -> Accesses:
    """Give four arrays of one length; a scalar stands for the same value in every row.

    A node id or source that its type cannot hold becomes one that is refused.
    """
    pfns = np.atleast_1d(np.asarray(pfn, dtype=np.uint64))
    return Accesses(
        _rows(pfns, np.uint64, pfns.shape),
        _rows(_within(nid, np.int16, NID_MAX + 1), np.int16, pfns.shape),
        _rows(_within(source, np.int8, SOURCES), np.int8, pfns.shape),
        _rows(now, np.uint64, pfns.shape),
    )


def _within(values: npt.ArrayLike, dtype: type[Any], above: int) -> npt.ArrayLike:
    """Bring what `dtype` could not hold to values that are refused: -2, or `above`."""
    if isinstance(values, np.ndarray) and values.dtype == dtype:
        return values
    return np.clip(values, -2, above)


def _rows(values: npt.ArrayLike, dtype: type[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Give a contiguous read-only array; one kind of array keeps to one compiled loop."""
    rows = np.asarray(values, dtype=dtype)
    if rows.shape != shape:
        rows = np.broadcast_to(rows, shape)
    rows = np.ascontiguousarray(rows).view()
    rows.flags.writeable = False
    return rows
