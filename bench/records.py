"""Record update alone, against reading the same records at the same random places.

The yardstick is a compiled loop that reads what lies at each place and sums it up: no
update can be much faster, for it has to have the record first.
"""

from __future__ import annotations

import numpy as np

from _measure import DRAWS, MI, Row, interleave, jiffies, options, read_sum, rows, show, sizes
from pghot.engine import records
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Layout, Rules

TARGET = {DEFAULT.name: 1.3, PRECISE.name: 1.8}
HZ = 1000


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
        if name != "read":
            np.add(now, a_pass, out=now)

    timing = interleave(
        {"read": lambda: read_sum(kept, places), layout.name: update}, 5, before=later
    )
    return rows(case, timing, count, {layout.name: "read"}, TARGET)


if __name__ == "__main__":
    main()
