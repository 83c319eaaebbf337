"""What an engine takes in memory beside its records, and what few accesses into much memory cost.

Each case runs in a process of its own and counts what that adds to its resident memory.  `every
page` touches every page of the lower tier, so that records and page metadata are all there;
`folios` makes all of it aligned folios of 16 pages first; `sparse` makes 512 accesses, one in
each GiB of half a TiB; `hole` has a node of two sections 64 TiB apart, with another between.
`live` is what a live run keeps, with every page found hot by the latency of a hint fault, and by
CPUs of so many fast nodes: latencies, scans, owners and the nodes of the last accesses too.
"""

from __future__ import annotations

import argparse
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
from pghot.engine.fidelity import IMPROVED
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.memory import Node
from pghot.engine.units import PAGE_SHIFT, PAGES_PER_SECTION
from pghot.live.rmap import Rmap
from pghot.live.scan_times import ScannedFaults, ScanTimes
from pghot.sources.prot_none import Ends, Ranges

TOP = PAGES_PER_SECTION
GIB = (1 << 30) >> 12
CASES = ("every page", "folios", "sparse", "hole")
LIVE = ("live", "live, folios")
FAST_NODES = (1, 2, 8)
FOLIO = 16
MOST_BESIDE = 2.0
"""Bytes beside the records, for each byte of them."""


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--case", choices=CASES + LIVE, help="run one case, in this process")
    made.add_argument("--fast-nodes", type=int, default=1, help="with --case live")
    made.add_argument("--mode", choices=LAYOUTS, default="default", help="with --case")
    args = made.parse_args()
    pages = 16 * MI if args.quick else 128 * MI
    if args.case:
        layout = LAYOUTS[args.mode]
        live = args.case in LIVE
        found = measure_live(args, layout, pages) if live else measure(args.case, layout, pages)
        print(json.dumps(found))
        return
    more = ["--quick"] if args.quick else []
    found = {}
    for mode in LAYOUTS:
        for case in CASES:
            found[f"{mode}, {case}"] = alone("--case", case, "--mode", mode, *more)
        for case in LIVE:
            for fast in FAST_NODES:
                words = ("--case", case, "--mode", mode, "--fast-nodes", str(fast), *more)
                found[f"{mode}, {case}, {fast} fast"] = alone(*words)
    if args.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"{'case':<30}  {'records MiB':>11}  {'resident MiB':>12}  {'beside / records':>16}  CPU s"
    )
    for case, row in found.items():
        beside = f"{row['beside']:.2f}" if row["records"] > MI else "-"
        print(
            f"{case:<30}  {row['records'] / MI:11.1f}  {row['resident'] / MI:12.1f}  "
            f"{beside:>16}  {row['cpu_s']:.3f}"
        )


def alone(*words: str) -> dict[str, float]:
    """What a process of its own finds."""
    command = [sys.executable, __file__, *words]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


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
        make_folios(memory, TOP, pages)
    for part in np.array_split(touched, max(len(touched) // MI, 1)):
        engine.record_many(part, 0, 1, 100)
    return told(len(touched), layout, before, start)


def measure_live(args: argparse.Namespace, layout: Layout, pages: int) -> dict[str, float]:
    """The same of what a live run keeps of pages that are all found hot."""
    fast, first = args.fast_nodes, args.fast_nodes * TOP
    nodes = [Node(nid, nid * TOP, TOP, toptier=True) for nid in range(fast)]
    nodes.append(Node(fast, first, pages, toptier=False))
    before, start = resident(), time.process_time()
    memory, rmap, scans = ArrayMemory(nodes), Rmap(pages), ScanTimes()
    engine = Engine(memory, layout, fidelity=IMPROVED)
    engine.write("enabled_sources", "3")
    engine.start()
    if args.case == "live, folios":
        make_folios(memory, first, pages)
    for at in range(first, first + pages, PAGES_PER_SECTION):
        pfn = np.arange(at, at + PAGES_PER_SECTION, dtype=np.uint64)
        if args.case == "live, folios":
            pfn = pfn[::FOLIO]
        vaddr = pfn << np.uint64(PAGE_SHIFT)
        index = memory.mem_map.indices(pfn)
        pid = np.ones(len(pfn), np.int32)
        scans.scanned(*step(vaddr))
        faults = ScannedFaults(pid, vaddr, np.full(len(pfn), 2_000_000, np.uint64), index)
        latency_us = scans.latency_us(faults)
        engine.record_many(pfn, (pfn % np.uint64(fast)).astype(np.int64), 0, 100, latency_us)
        ready = engine.hot_map.is_ready(index)
        rmap.see(index[ready], pid[ready], vaddr[ready])
    return told(pages, layout, before, start)


def step(vaddr: np.ndarray) -> tuple[Ranges, Ends]:
    """A step of the scan over these addresses, a millisecond before they fault."""
    one, first, last = np.ones(1, np.int32), vaddr[:1], vaddr[-1:] + np.uint64(1 << PAGE_SHIFT)
    began, ended = np.array([1_000_000], np.uint64), np.array([1_000_001], np.uint64)
    pages = np.array([len(vaddr)], np.uint64)
    return Ranges(began, one, one, first, last), Ends(ended, one, one, pages)


def make_folios(memory: ArrayMemory, start: int, pages: int) -> None:
    for first in range(start, start + pages, PAGES_PER_SECTION):
        heads = np.arange(first, first + PAGES_PER_SECTION, FOLIO, dtype=np.uint64)
        sizes = np.full(len(heads), FOLIO)
        memory.mem_map.learn(heads, sizes, np.zeros(len(heads), np.uint32))


def told(pages: int, layout: Layout, before: int, start: float) -> dict[str, float]:
    """Bytes of records and of all that came since `before`, CPU seconds since `start`."""
    records = pages * np.dtype(layout.dtype).itemsize
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
