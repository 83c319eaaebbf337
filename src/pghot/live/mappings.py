"""The mappings in which accesses fall, read off the processes while they are there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import U64Array
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.host import Host
from pghot.linux.processes.maps import mappings_of
from pghot.log.regions import MOST, MappedRegion, RegionNames
from pghot.log.schema import Columns

if TYPE_CHECKING:
    from pghot.binning.forms import HeatMap, NamedRegionHeat

EVERY_US = 2_000_000
"""Microseconds between two looks at a process."""

HEATS, MAP_NAMES = 64, 6
"""Regions that are told of, and those that a map names."""

READS = 32
"""Processes that are looked at in one go."""

PROCESSES = 1 << 14
"""Processes of which it is known when they are due; beyond, all are due."""

NOTHING = RegionNames([])


class Mappings:
    """Mappings by process, of those alone in which an access fell.

    A process is looked at when its first access comes, and later where accesses are in none
    of the mappings that are known.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: dict[int, list[U64Array]] = defaultdict(list)
        self._due: dict[int, int] = {}
        self._of: dict[int, tuple[list[MappedRegion], RegionNames]] = {}
        self._accesses: Counter[str] = Counter()
        self._promoted: Counter[str] = Counter()
        self.regions: list[MappedRegion] = []
        """All of them, in the order in which they were found."""

    def see(self, instant: int, rows: Columns) -> None:
        """Take in accesses made until `instant` (us), and look at processes that are due."""
        for pid, vaddrs in _by_process(rows["pid"], rows["vaddr"]):
            self._waiting[pid].append(vaddrs)
        due = [pid for pid in self._waiting if self._due.get(pid, 0) <= instant]
        if len(self._due) > PROCESSES:
            self._due.clear()
        for pid in due[:READS]:
            self._due[pid] = instant + EVERY_US
            self._look(pid)

    def promoted(self, pid: int, vaddrs: U64Array) -> None:
        """Take in folios of a process that were moved up, by the addresses they are at."""
        self._count(self._promoted, pid, self._numbers(pid, vaddrs))

    def renewed(self, pid: int) -> None:
        """Look again at a process that executes another program."""
        self._due.pop(pid, None)
        self._of.pop(pid, None)

    def named(self, heat: HeatMap) -> HeatMap:
        """A map of a process's addresses with the names of what is mapped there."""
        from msgspec.structs import replace  # noqa: PLC0415 - only with -o

        start, end = (
            page << PAGE_SHIFT for page in (heat.first, heat.first + heat.rows * heat.pages_a_row)
        )
        pid = int(heat.place.rpartition(" ")[2])
        regions, _names = self._of.get(pid, ([], NOTHING))
        there = [max(r.start, start) for r in regions if r.start < end and start < r.end]
        found = self._names(pid, np.array(there, np.uint64))
        words = [name.removesuffix(f" of process {pid}") for name in found]
        return replace(heat, regions=list(dict.fromkeys(words))[:MAP_NAMES])

    def heats(self) -> list[NamedRegionHeat]:
        """Accesses and promoted folios by region, most accesses first."""
        from pghot.binning.forms import NamedRegionHeat  # noqa: PLC0415 - only with -o

        for pid in list(self._waiting):
            self._look(pid)
        return [
            NamedRegionHeat(name=name, accesses=count, promoted=self._promoted[name])
            for name, count in self._accesses.most_common(HEATS)
        ]

    def _look(self, pid: int) -> None:
        vaddrs = np.concatenate(self._waiting.pop(pid))
        numbers = self._numbers(pid, vaddrs)
        unknown = vaddrs[numbers == 0]
        if len(unknown) and len(self.regions) < MOST:
            self._read(pid, np.sort(unknown))
            numbers = self._numbers(pid, vaddrs)
        self._count(self._accesses, pid, numbers)

    def _read(self, pid: int, addresses: U64Array) -> None:
        """Keep those of a process's mappings that some of the addresses (ascending) are in."""
        there = list(mappings_of(self._host, pid))
        edges = np.array([mapping[:2] for mapping in there], np.uint64).reshape(-1, 2)
        hit = np.flatnonzero(np.diff(np.searchsorted(addresses, edges), axis=1))
        found = [MappedRegion(pid, *there[at]) for at in hit.tolist()]
        if found:
            self.regions += found
            known = [*self._of.get(pid, ([], NOTHING))[0], *found]
            self._of[pid] = known, RegionNames(known)

    def _count(self, counts: Counter[str], pid: int, numbers: npt.NDArray[np.int64]) -> None:
        names = self._of.get(pid, ([], NOTHING))[1].names
        found = np.bincount(numbers)
        counts.update({names[at]: int(found[at]) for at in np.flatnonzero(found).tolist()})

    def _names(self, pid: int, vaddrs: U64Array) -> list[str]:
        names = self._of.get(pid, ([], NOTHING))[1].names
        return [names[number] for number in self._numbers(pid, vaddrs).tolist()]

    def _numbers(self, pid: int, vaddrs: U64Array) -> npt.NDArray[np.int64]:
        names = self._of.get(pid, ([], NOTHING))[1]
        return names.of_process(pid, vaddrs)


def _by_process(pids: npt.NDArray[Any], vaddrs: U64Array) -> Iterator[tuple[int, U64Array]]:
    """The addresses of each process, in their order."""
    if not len(pids):
        return
    if (pids == pids[0]).all():
        yield int(pids[0]), vaddrs
        return
    order = np.argsort(pids, kind="stable")
    found, first = np.unique(pids[order], return_index=True)
    yield from zip(found.tolist(), np.split(vaddrs[order], first[1:]), strict=True)
