"""Accesses as the engine takes them, and the recorder with what it keeps between two calls."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.blocks import BLOCK, PAGE_MOVED, PAGE_NOT_PLAIN, PAGE_ON_TOP, SOURCES
from pghot.engine.fast_path import AccessArrays, RecordRules, Scratch, fill_fates
from pghot.engine.hotmap import HotMap
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import Memory
from pghot.engine.page_flags import MOVED, PALETTE_SHIFT, SHARED_ROWS
from pghot.engine.record_rows import fill_sections, record_rows
from pghot.engine.slow_path import CallCounts, NodeFlags
from pghot.engine.units import NID_MAX
from pghot.engine.vmstat import RECORDED_ACCESSES, RECORDED_BY, Vmstat

PGHOT_HINTFAULTS = 0
PGHOT_HWHINTS = 1


class Accesses(NamedTuple):
    """Accesses in time order, one item each; times in jiffies, ascending."""

    pfn: npt.NDArray[np.uint64]
    nid: npt.NDArray[np.int16]
    source: npt.NDArray[np.int8]
    now: npt.NDArray[np.uint64]


class Nodes(NamedTuple):
    """Flags of nodes by id, as the recorder reads them; it sets `activate`."""

    toptier: npt.NDArray[np.uint8]
    online: npt.NDArray[np.uint8]
    activate: npt.NDArray[np.uint8]


class Tables(NamedTuple):
    """The arrays that a `Scratch` points into."""

    sections: npt.NDArray[np.uint32]
    verdicts: npt.NDArray[np.uint8]
    indices: npt.NDArray[np.uint64]
    fates: npt.NDArray[np.uint8]
    kept: npt.NDArray[np.uint64]
    when: npt.NDArray[np.uint64]


class Recorder:
    """Records accesses in the hot map of a machine, and counts them.

    What it knows of sections and nodes is worked out again where they have changed.
    """

    def __init__(self, memory: Memory, hot_map: HotMap, vmstat: Vmstat) -> None:
        self._memory = memory
        self._hot_map = hot_map
        self._vmstat = vmstat
        size = NID_MAX + 1
        self.nodes = Nodes(*(np.zeros(size, np.uint8) for _ in Nodes._fields))
        self._flags = NodeFlags(self.nodes)
        self._scratch: Scratch | None = None
        self._fates: npt.NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._made_of: tuple[int, ...] = ()
        self._nodes_version = 0
        self.refused = 0
        """Accesses refused with EINVAL."""
        self.on_toptier = 0
        """Accesses, of all that were offered, whose page was on a top-tier node."""
        self.initially_on_toptier = 0
        """How many of them would have been had no page ever moved."""

    def nodes_changed(self) -> None:
        """Read again which nodes are online and which are top tier."""
        self.nodes.toptier[:] = self.nodes.online[:] = 0
        for nid in self._memory.known_nids:
            self.nodes.toptier[nid] = self._memory.node_is_toptier(nid)
            self.nodes.online[nid] = self._memory.node_online(nid)
        self._nodes_version += 1

    def record(self, accesses: Accesses, rules: RecordRules) -> None:
        """Record accesses (R2)."""
        if not len(accesses.pfn):
            return
        tally = CallCounts()
        maps, pages = self._hot_map.maps(), self._memory.mem_map.pages()
        record_rows(AccessArrays(accesses), pages, maps, self._flags, rules, self._now(), tally)
        self.refused += tally.refused
        self.on_toptier += tally.on_toptier
        self.initially_on_toptier += tally.initially_on_toptier
        events = self._vmstat.events
        events[RECORDED_BY + PGHOT_HWHINTS] += tally.hardware
        events[RECORDED_BY + PGHOT_HINTFAULTS] += tally.taken - tally.hardware
        events[RECORDED_ACCESSES] += tally.recorded
        self._hot_map.thicken()

    def count_apart(self, accesses: Accesses, times: npt.NDArray[np.int64]) -> None:
        """Count each access once, though the loops are to be given it `times` times."""
        other = np.flatnonzero(times != 1)
        pfn, more = accesses.pfn[other], 1 - times[other]
        mem_map, top = self._memory.mem_map, self.nodes.toptier
        self.on_toptier += int(np.dot(more, top[mem_map.known(pfn).nid]))
        self.initially_on_toptier += int(np.dot(more, top[mem_map.nids_of(pfn)]))
        for source in (PGHOT_HINTFAULTS, PGHOT_HWHINTS):
            of_source = accesses.source[other] == source
            self._vmstat.events[RECORDED_BY + source] += int(more[of_source].sum())

    def _now(self) -> Scratch:
        """What the loops work with, as sections, kinds of pages and nodes are now."""
        mem_map = self._memory.mem_map
        made_of = (
            mem_map.version,
            mem_map.facts_made,
            mem_map.kinds.count,
            self._hot_map.version,
            self._nodes_version,
        )
        if self._scratch is None or made_of != self._made_of:
            self._made_of = made_of
            sections = np.empty(len(mem_map.slot_of) + 1, np.uint32)
            fill_sections(mem_map.pages(), self._hot_map.maps(), self._flags, sections)
            if len(self._fates) != mem_map.slots << PALETTE_SHIFT:
                self._fates = np.zeros(mem_map.slots << PALETTE_SHIFT, np.uint8)
            self._scratch = Scratch(
                Tables(
                    sections,
                    _verdicts(mem_map, self.nodes.toptier),
                    np.empty(2 * BLOCK, np.uint64),
                    self._fates,
                    np.empty(BLOCK, np.uint64),
                    np.empty(BLOCK, np.uint64),
                ),
                bool(mem_map.has_facts.any()),
            )
            fill_fates(mem_map.pages(), self._scratch, self._fates)
        return self._scratch


def _verdicts(mem_map: MemMap, toptier: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What can be said of a page, by row (`Scratch`); of an odd one that the rules must look."""
    kinds = mem_map.kinds
    flags, nids = kinds.flags[: kinds.count], kinds.nid[: kinds.count]
    moved = (flags & MOVED) != 0
    verdicts = np.full(SHARED_ROWS, PAGE_NOT_PLAIN, np.uint8)
    verdicts[: kinds.count] = (
        moved * np.uint8(PAGE_MOVED)
        | (moved & (toptier[nids] != 0)) * np.uint8(PAGE_ON_TOP)
        | ((flags & ~np.uint8(MOVED)) != 0) * np.uint8(PAGE_NOT_PLAIN)
    )
    return verdicts


def as_accesses(
    pfn: npt.ArrayLike, nid: npt.ArrayLike, source: npt.ArrayLike, now: npt.ArrayLike
) -> Accesses:
    """Four arrays of one length; a scalar stands for the same value in every row.

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
    if isinstance(values, int):
        return min(max(values, -2), above)
    return np.clip(values, -2, above)


def _rows(values: npt.ArrayLike, dtype: type[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A contiguous read-only array; one kind of array keeps to one compiled loop."""
    rows = np.asarray(values, dtype=dtype)
    if rows.shape != shape:
        rows = np.full(shape, rows) if rows.ndim == 0 else np.broadcast_to(rows, shape)
    rows = np.ascontiguousarray(rows).view()
    rows.flags.writeable = False
    return rows
