"""The mappings of processes, as a log keeps them: which region an address is in, by name.

They are stored under the extra key `regions` of a log's metadata: [pid, start, end, name] a
mapping, in the order in which they were made, names as /proc/PID/maps has them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.log.schema import Metadata

KEY = "regions"
MOST = 1 << 16
"""Mappings that are kept; those made later are left out."""

ELSEWHERE = "elsewhere"
"""What is in no mapping that is known."""

_U64 = 1 << 64


class MappedRegion(NamedTuple):
    """A mapping of a process: addresses from `start` up to `end`, and what is mapped."""

    pid: int
    start: int
    end: int
    name: str


def to_extra(regions: Iterable[MappedRegion]) -> dict[str, Any]:
    """What `Metadata.extra` keeps of them; nothing where there are none."""
    kept = [list(region) for region, _ in zip(regions, range(MOST), strict=False)]
    return {KEY: kept} if kept else {}


def regions_of(metadata: Metadata | None) -> list[MappedRegion]:
    """A log's mappings; what is none is passed over."""
    found = metadata.extra.get(KEY, []) if metadata else []
    return [
        MappedRegion(*item)
        for item in (found if isinstance(found, list) else [])[:MOST]
        if isinstance(item, list)
        and [type(value) for value in item] == [int, int, int, str]
        and 0 <= item[1] < item[2] <= _U64
    ]


def with_regions(metadata: Metadata, regions: Sequence[MappedRegion]) -> Metadata:
    """The same metadata with these mappings and no others."""
    extra = {key: value for key, value in metadata.extra.items() if key != KEY}
    return replace(metadata, extra=extra | to_extra(regions))


class RegionNames:
    """Says in which region an address is; where mappings overlap, the later one counts.

    An anonymous mapping that overlaps an earlier one of its process has its number: it has
    grown, or is a part of it.
    """

    def __init__(self, regions: Sequence[MappedRegion]) -> None:
        self.names = [ELSEWHERE]
        """Names by the number that `of` gives."""
        numbers = self._numbers(regions)
        self._cells: dict[int, tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]] = {}
        for pid in {region.pid for region in regions}:
            own = [(r, n) for r, n in zip(regions, numbers, strict=True) if r.pid == pid]
            edges = distinct(
                np.array([[r.start, min(r.end, _U64 - 1)] for r, _n in own], np.uint64)
            )
            owner = np.zeros(len(edges), np.int64)
            for region, number in own:
                first, last = np.searchsorted(
                    edges, np.array([region.start, min(region.end, _U64 - 1)], np.uint64)
                )
                owner[first:last] = number
            self._cells[pid] = edges, owner

    def of(self, pids: npt.NDArray[Any], vaddrs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The number of the region of each address; 0 where there is none."""
        found = np.zeros(len(vaddrs), np.int64)
        for pid in distinct(pids).tolist():
            if pid in self._cells:
                mine = pids == pid
                found[mine] = self.of_process(pid, vaddrs[mine])
        return found

    def of_process(self, pid: int, vaddrs: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """The number of the region of each address of one process; 0 where there is none."""
        if pid not in self._cells:
            return np.zeros(len(vaddrs), np.int64)
        edges, owner = self._cells[pid]
        at = np.searchsorted(edges, vaddrs, side="right") - 1
        return np.where(at >= 0, owner[np.maximum(at, 0)], 0)

    def _numbers(self, regions: Sequence[MappedRegion]) -> list[int]:
        """Number regions; mappings of a process with one name are one, anonymous ones not."""
        known: dict[tuple[int, str], int] = {}
        anonymous: dict[int, _Anonymous] = defaultdict(_Anonymous)
        numbers = []
        for region in regions:
            name = named(region.name)
            if not name:
                number = anonymous[region.pid].number(region.start, region.end)
                name = f"anonymous region {number}"
            key = region.pid, name
            if key not in known:
                known[key] = len(self.names)
                self.names.append(f"{name} of process {region.pid}")
            numbers.append(known[key])
        return numbers


class _Anonymous:
    """Anonymous memory of a process: ranges that do not overlap, and the number of each."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._numbers: list[int] = []
        self._count = 0

    def number(self, start: int, end: int) -> int:
        """The number, from 1, of the memory that a mapping is of."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if first == last:
            self._count += 1
            number = self._count
        else:
            number = self._numbers[first]
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self._numbers[first:last] = [number]
        return number


def named(text: str) -> str:
    """The name of a mapping from its name in maps; empty for anonymous memory."""
    if text.startswith("[anon:"):
        return text[6:].rstrip("]")
    if text in {"[heap]", "[stack]"} or text.startswith("["):
        return text.strip("[]")
    if text in {"", "//anon", "anon_inode:"} or text.startswith("/dev/zero"):
        return ""
    name = text.removesuffix(" (deleted)").rpartition("/")[2]
    return f"library {name}" if ".so" in name else f"file {name}"
