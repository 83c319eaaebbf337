"""Memory added to a machine that runs: seconds and memory that the engine's arrays take for it.

Against copying those arrays whole, as is done for what is not known to be untouched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from _measure import Row, options, show
from pghot.engine.hotmap import HotMap
from pghot.engine.layout import DEFAULT
from pghot.engine.mem_map import MemMap
from pghot.engine.units import PAGES_PER_SECTION
from pghot.live.rmap import Rmap

ADDED = 8
"""Sections added at a time: 1 GiB."""


class Machine:
    """What a live run knows of a machine, a share of whose sections were touched."""

    def __init__(self, sections: int, share: float) -> None:
        self.sections = sections
        self.mem_map = MemMap()
        self.mem_map.add_sections(0, sections * PAGES_PER_SECTION, 1)
        self.hot_map = HotMap(self.mem_map, DEFAULT)
        self.hot_map.follow()
        self.owners = Rmap(self.mem_map.slots)
        touched = np.arange(0, sections, round(1 / share)) if share else np.zeros(0, np.int64)
        pfns = (touched[:, None] * PAGES_PER_SECTION + np.arange(0, 32768, 512)).ravel()
        pfns = pfns.astype(np.uint64)
        ones = np.ones(len(pfns), np.int64)
        self.mem_map.learn(pfns, ones, ones.astype(np.uint32))
        indices = self.mem_map.indices(pfns)
        self.owners.see(indices, ones.astype(np.int32), pfns)
        self.hot_map.records[indices] = 1
        self.hot_map.touched[touched] = 1

    def grow(self) -> None:
        self.mem_map.add_sections(self.sections * PAGES_PER_SECTION, ADDED * PAGES_PER_SECTION, 2)
        self.sections += ADDED
        self.hot_map.follow()
        self.owners.grow(self.mem_map.slots)

    def copy(self) -> None:
        m, o = self.mem_map, self.owners
        indices = slice(0, self.sections * PAGES_PER_SECTION)
        arrays = (m.flags, m.compound, m.page_nid, m.memcg, self.hot_map.records, *o.of(indices))
        self.copies = [np.array(array) for array in arrays]


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def main() -> None:
    args = options(__doc__)
    sections = 512 if args.quick else 8192
    found, memory = [], {}
    for share in (0, 0.01, 1):
        machine = Machine(sections, share)
        case = f"{share:.0%} touched"
        works: dict[str, Callable[[], None]] = {
            "first GiB": machine.grow,
            "second GiB": machine.grow,
            "copied whole": machine.copy,
        }
        taken = {}
        for name, work in works.items():
            before, start = resident_mib(), time.perf_counter()
            work()
            taken[name] = time.perf_counter() - start
            memory[f"MiB more, {case}, {name}"] = round(resident_mib() - before)
        del machine, works, work
        whole = taken["copied whole"]
        found += [Row(case, name, s * 1e3, s / whole) for name, s in taken.items()]
    title = f"1 GiB added to {sections >> 3} GiB"
    show(title, found, as_json=args.json, unit="ms", more=memory)


if __name__ == "__main__":
    main()
