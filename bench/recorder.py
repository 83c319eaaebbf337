"""The whole recorder in bulk, against reading the same records at the same random indices.

`Engine.record_many` looks up the section and what is known of the page, applies the nine rules and
updates the record.  No page is promoted, so every access ends in a record.
"""

from __future__ import annotations

import numpy as np

from _measure import DRAWS, MI, Row, interleave, jiffies, options, rows, show, sizes
from _yardstick import read_sum
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.memory import Node
from pghot.engine.recorder import PGHOT_HWHINTS

TARGET = 2.5
TOP_PAGES = 2 * MI
ROWS_A_CALL = 1 << 18
"""Accesses handed over in one call, as many as a replay reads at a time."""


def main() -> None:
    args = options(__doc__)
    count = 2 * MI if args.quick else 20_000_000
    found: list[Row] = []
    for size, pages in sizes(args.quick).items():
        for layout in LAYOUTS.values():
            engine = make_engine(layout, pages)
            for draw in DRAWS:
                found += measure(engine, pages, draw, count, f"{size} pages, {draw}")
    show("recorder, ns an access", found, as_json=args.json)


def make_engine(layout: Layout, pages: int) -> Engine:
    """An engine over a top-tier node and a lower one of `pages` pages."""
    memory = ArrayMemory(
        [
            Node(0, 0, TOP_PAGES, toptier=True, cpus=(0,)),
            Node(1, TOP_PAGES, pages, toptier=False),
        ]
    )
    engine = Engine(memory, layout)
    engine.write("enabled_sources", "3")
    engine.start()
    return engine


def measure(engine: Engine, pages: int, draw: str, count: int, case: str) -> list[Row]:
    """Time five passes of `count` accesses; the time goes on from pass to pass."""
    kept = engine.hot_map.records
    lower = kept[TOP_PAGES:]
    indices = DRAWS[draw](count, pages, np.random.default_rng(1))
    pfns = indices.astype(np.uint64) + np.uint64(TOP_PAGES)
    nids = np.zeros(count, np.int16)
    sources = np.full(count, PGHOT_HWHINTS, np.int8)
    now = jiffies(count)
    a_pass = np.uint64(now[-1] + 1)
    kept[:] = 0
    name = engine.layout.name

    def record() -> None:
        for start in range(0, count, ROWS_A_CALL):
            part = slice(start, start + ROWS_A_CALL)
            engine.record_many(pfns[part], nids[part], sources[part], now[part])

    def later(variant: str, _round: int) -> None:
        if variant != "read":
            np.add(now, a_pass, out=now)

    def read() -> None:
        for start in range(0, count, ROWS_A_CALL):
            read_sum(lower, indices[start : start + ROWS_A_CALL])

    recorded = engine.vmstat["pghot_recorded_accesses"]
    timing = interleave({"read": read, name: record}, 5, before=later)
    if engine.vmstat["pghot_recorded_accesses"] != recorded + 6 * count:
        raise AssertionError("not every access was recorded")
    return rows(case, timing, count, {name: "read"}, {name: TARGET})


if __name__ == "__main__":
    main()
