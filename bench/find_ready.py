"""Finding the ready records of a sparse map, against reading the map once in order.

`find_ready` is the scan of a whole range, `take_ready` the section walk of kmigrated,
which looks at what is known of every ready page too and consumes its record.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from _measure import MI, Row, interleave, options, rows, show
from _yardstick import sequential_sum
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.candidates import CANDIDATE, TAKEN_AT_ONCE, layout_row
from pghot.engine.hotmap import HotMap
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.memory import Node
from pghot.engine.units import BLOCK_SHIFT, NID_MAX, PAGES_PER_SECTION
from pghot.engine.walk import Walk, find_ready

DENSITIES = (0.0, 1e-6, 1e-4, 1e-2)
SPARSE = 1e-4
"""Largest share of ready records at which the target holds."""
TARGET = 2.0
LOWER = 1


def main() -> None:
    args = options(__doc__)
    found: list[Row] = []
    for pages in (16 * MI,) if args.quick else (64 * MI, 256 * MI):
        for layout in LAYOUTS.values():
            found += measure(layout, pages, rounds=5 if args.quick else 9)
    show("scan for ready records, ns a record", found, as_json=args.json)


def measure(layout: Layout, pages: int, rounds: int) -> list[Row]:
    """Time both scans over one map at every density; every record holds something."""
    memory = ArrayMemory([Node(LOWER, 0, pages, toptier=False)])
    hot_map = HotMap(memory.mem_map, layout)
    hot_map.setup(memory)
    slots = memory.mem_map.slots_of_node(LOWER)
    out = np.zeros(pages, np.int64)
    taken = np.zeros(TAKEN_AT_ONCE, CANDIDATE)
    words = hot_map.records.view(np.uint64)
    found = []
    for density in DENSITIES:
        hot_map.records[:] = 1
        rng = np.random.default_rng(1)
        ready = np.unique(rng.integers(0, pages, round(pages * density)))

        def mark(_name: str, _round: int, ready: npt.NDArray[np.int64] = ready) -> None:
            hot_map.records[ready] = layout.ready_mask
            hot_map.hot[:] = 1
            hot_map.ready[ready >> BLOCK_SHIFT] = 1

        def look() -> None:
            find_ready(hot_map.maps(), 0, pages, layout.ready_mask, out)

        def take(wanted: int = len(ready)) -> None:
            at = total = 0
            while at < len(slots):
                count, at = take_from(hot_map, slots, at, taken)
                total += count
            if total != wanted:
                raise AssertionError(f"took {total} of {wanted}")

        scans = {"read": lambda: sequential_sum(words), "find_ready": look, "take_ready": take}
        timing = interleave(scans, rounds, before=mark)
        targets = dict.fromkeys(("find_ready", "take_ready"), TARGET)
        found += rows(
            f"{layout.name}, {pages // MI} Mi pages, {density:g} ready",
            timing,
            pages,
            {"find_ready": "read", "take_ready": "read"},
            targets if density <= SPARSE else None,
        )
    return found


def take_from(
    hot_map: HotMap, slots: npt.NDArray[np.int64], at: int, out: npt.NDArray[np.void]
) -> tuple[int, int]:
    """Walk sections as kmigrated does; how many were taken, and where to go on."""
    targets = np.zeros(NID_MAX + 1, np.uint8)
    walk = Walk(slots, LOWER, 0, 0, layout_row(hot_map.layout), targets)
    indices = np.empty(PAGES_PER_SECTION, np.int64)
    return walk.take(hot_map.mem_map.pages(), hot_map.maps(), at, indices, out)


if __name__ == "__main__":
    main()
