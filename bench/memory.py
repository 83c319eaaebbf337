"""What an engine takes in memory beside its records, and what few accesses into much memory cost.

Each case runs in a process of its own and counts what that adds to its resident memory.  `every
page` touches every page of the lower tier, so that records and page metadata are all there;
`folios` makes all of it aligned folios of 16 pages first; `sparse` makes 512 accesses, one in
each GiB of half a TiB; `hole` has a node of two sections 64 TiB apart, with another between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from _measure import MI, parser
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.memory import Node
from pghot.engine.units import PAGES_PER_SECTION

TOP = PAGES_PER_SECTION
GIB = (1 << 30) >> 12
CASES = ("every page", "folios", "sparse", "hole")
MOST_BESIDE = 2.0
"""Bytes beside the records, for each byte of them."""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--case", choices=CASES, help="run one case, in this process")
    made.add_argument("--mode", choices=LAYOUTS, default="default", help="with --case")
    args = made.parse_args()
    pages = 16 * MI if args.quick else 128 * MI
    if args.case:
        print(json.dumps(measure(args.case, LAYOUTS[args.mode], pages)))
        return
    found = {}
    for mode in LAYOUTS:
        for case in CASES:
            words = [sys.executable, __file__, "--case", case, "--mode", mode]
            done = subprocess.run(
                [*words, *(["--quick"] if args.quick else [])],
                check=True,
                capture_output=True,
                text=True,
            )
            found[f"{mode}, {case}"] = json.loads(done.stdout)
    if args.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{'case':<22}  {'records MiB':>11}  {'resident MiB':>12}  {'beside / records':>16}  CPU s"
    )
    for case, row in found.items():
        beside = f"{row['beside']:.2f}" if row["records"] > MI else "-"
        print(
            f"{case:<22}  {row['records'] / MI:11.1f}  {row['resident'] / MI:12.1f}  "
            f"{beside:>16}  {row['cpu_s']:.3f}"
        )


def measure(case: str, layout: Layout, pages: int) -> dict[str, float]:
    """Bytes of records, bytes that the case has added, and CPU seconds."""
    nodes, touched = {
        "every page": lambda: whole(pages),
        "folios": lambda: whole(pages),
        "sparse": sparse,
        "hole": hole,
    }[case]()
    before, start = resident(), time.process_time()
    memory = ArrayMemory(nodes)
    engine = Engine(memory, layout)
    engine.write("enabled_sources", "3")
    engine.start()
    if case == "folios":
        for first in range(TOP, TOP + pages, PAGES_PER_SECTION):
            heads = np.arange(first, first + PAGES_PER_SECTION, 16, dtype=np.uint64)
            sizes = np.full(len(heads), 16)
            memory.mem_map.learn(heads, sizes, np.zeros(len(heads), np.uint32))
    for part in np.array_split(touched, max(len(touched) // MI, 1)):
        engine.record_many(part, 0, 1, 100)
    records = len(touched) * np.dtype(layout.dtype).itemsize
    added = resident() - before
    return {
        "records": records,
        "resident": added,
        "beside": (added - records) / records,
        "cpu_s": time.process_time() - start,
    }


def whole(pages: int) -> tuple[list[Node], np.ndarray]:
    nodes = [Node(0, 0, TOP, toptier=True), Node(1, TOP, pages, toptier=False)]
    return nodes, np.arange(TOP, TOP + pages, dtype=np.uint64)


def sparse() -> tuple[list[Node], np.ndarray]:
    nodes = [Node(0, 0, TOP, toptier=True), Node(1, TOP, 512 * GIB, toptier=False)]
    return nodes, np.arange(512, dtype=np.uint64) * np.uint64(GIB) + np.uint64(TOP)


def hole() -> tuple[list[Node], np.ndarray]:
    far = 64 * 1024 * GIB
    ranges = [(one, one + PAGES_PER_SECTION) for one in (TOP, far)]
    nodes = [
        Node.of_ranges(0, [(0, 0xA0), (0x100, TOP), (far // 2, far // 2 + TOP)], toptier=True),
        Node.of_ranges(1, ranges, toptier=False),
    ]
    return nodes, np.array([TOP, far], np.uint64)


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
