"""Record update alone, against reading the same records at the same random indices.

The yardstick is a compiled loop that reads what lies at each index and sums it up: no
update can be much faster, for it has to have the record first.  `write back` is a second
one: it changes a bit of each record and does nothing else.  `of rows` does so at the page
frame numbers, times and nodes of 64, 64 and 16 bits that a recorder is given.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from _measure import DRAWS, MI, Row, interleave, jiffies, options, rows, show, sizes
from _yardstick import read_sum, write_back, write_back_rows
from pghot.engine.fast_path import AccessArrays, RecordRules, update
from pghot.engine.growing import thicken, zeros
from pghot.engine.hot_map_arrays import Maps
from pghot.engine.hotmap import MapArrays
from pghot.engine.layout import DEFAULT, LAYOUTS, PRECISE, Layout, Rules
from pghot.engine.recorder import Accesses
from pghot.engine.units import BLOCK_SHIFT

TARGET = {DEFAULT.name: 1.3, PRECISE.name: 1.8}
HZ = 1000


def main() -> None:
    args = options(__doc__)
    count = 2 * MI if args.quick else 20_000_000
    found: list[Row] = []
    for size, pages in sizes(args.quick).items():
        for layout in LAYOUTS.values():
            kept = zeros(pages, layout.dtype)
            thicken(kept, 0, pages)
            for draw in DRAWS:
                found += measure(layout, kept, draw, count, f"{size} pages, {draw}")
    show("record update, ns an access", found, as_json=args.json)


def measure(
    layout: Layout, kept: npt.NDArray[np.unsignedinteger], draw: str, count: int, case: str
) -> list[Row]:
    """Time five passes of `count` accesses; the time goes on from pass to pass."""
    rules = Rules.of(layout.default_window_ms, 2, HZ)
    indices = DRAWS[draw](count, len(kept), np.random.default_rng(1))
    now = jiffies(count)
    nids = np.zeros(count, np.int16)
    record_rules = RecordRules(layout.table(rules), 3, 0, rules.window)
    pfns = indices.astype(np.uint64)
    accesses = AccessArrays(Accesses(pfns, nids, np.zeros(count, np.int8), now))
    flags = np.zeros((len(kept) >> BLOCK_SHIFT) + 1, np.uint8)
    maps = Maps(MapArrays(kept, flags, flags, flags, flags, flags.copy()))
    a_pass = np.uint64(now[-1] + 1)
    kept[:] = 0

    def update_all() -> None:
        update(maps, record_rules, accesses)

    def later(name: str, _round: int) -> None:
        if name == layout.name:
            np.add(now, a_pass, out=now)

    scratch = zeros(len(kept), kept.dtype)
    thicken(scratch, 0, len(scratch))
    variants = {
        "read": lambda: read_sum(kept, indices),
        "write back": lambda: write_back(scratch, indices),
        "of rows": lambda: write_back_rows(scratch, pfns, now, nids),
        layout.name: update_all,
    }
    timing = interleave(variants, 5, before=later)
    return rows(case, timing, count, dict.fromkeys(variants, "read"), TARGET)


if __name__ == "__main__":
    main()
