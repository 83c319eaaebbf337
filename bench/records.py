"""Record update alone, against reading the same records at the same random places.

The yardstick is a compiled loop that reads what lies at each place and sums it up: no
update can be much faster, for it has to have the record first.  `write back` is a second
one: it changes a bit of each record and does nothing else.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from _measure import DRAWS, MI, Row, interleave, jiffies, options, read_sum, rows, show, sizes
from pghot.engine import records
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Layout, Rules

TARGET = {DEFAULT.name: 1.3, PRECISE.name: 1.8}
HZ = 1000


@numba.njit
def write_back(array: Any, places: Any) -> None:
    """Read items at random places and write them back, a bit changed."""
    for i in range(len(places)):
        array[places[i]] ^= 1


def main() -> None:
    args = options(__doc__)
    count = 2 * MI if args.quick else 20_000_000
    found: list[Row] = []
    for size, pages in sizes(args.quick).items():
        for layout in LAYOUTS.values():
            kept = np.zeros(pages, layout.dtype)
            for draw in DRAWS:
                found += measure(layout, kept, draw, count, f"{size} pages, {draw}")
    show("record update, ns an access", found, as_json=args.json)


def measure(layout: Layout, kept: records.Records, draw: str, count: int, case: str) -> list[Row]:
    """Time five passes of `count` accesses; the time goes on from pass to pass."""
    rules = Rules.of(layout.default_window_ms, 2, HZ)
    places = DRAWS[draw](count, len(kept), np.random.default_rng(1))
    now = jiffies(count)
    nids = np.zeros(count, np.int16)
    table = layout.table(rules)
    a_pass = np.uint64(now[-1] + 1)
    kept[:] = 0

    def update() -> None:
        if layout is DEFAULT:
            records.update_default(kept, places, now, table)
        else:
            records.update_precise(kept, places, now, nids, rules.window, table)

    def later(name: str, _round: int) -> None:
        if name == layout.name:
            np.add(now, a_pass, out=now)

    scratch = np.zeros_like(kept)
    variants = {
        "read": lambda: read_sum(kept, places),
        "write back": lambda: write_back(scratch, places),
        layout.name: update,
    }
    timing = interleave(variants, 5, before=later)
    return rows(case, timing, count, dict.fromkeys(variants, "read"), TARGET)


if __name__ == "__main__":
    main()
