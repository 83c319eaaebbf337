"""A replay end to end from a Parquet log, and where its time goes.

The log holds Zipf accesses to a lower node of 2 Mi pages, spread over a minute.  In the
first case the top tier has room for few of the pages, so that nearly all rows go through
the whole recorder to the end; in the second for all of them; in the third for none, so that
every wake-up finds the ready folios refused.  Each stage includes those before it: read the
file, check the rows, record them, let kmigrated look as well; CPU time on one core.  A plain
read of the same columns from memory is the yardstick.  `end to end` is the wall time of a replay
as users have it, the log decoded and counted on a second core, over that of reading and recording
alone: it wants two idle cores.  `engine's thread` is CPU time of the thread that has the engine
over CPU time of reading and recording, which also a busy machine can tell.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from _measure import (
    MI,
    Row,
    interleave,
    one_core,
    parser,
    rows,
    show,
    zipf,
)
from _yardstick import sequential_sum
from pghot.driving.wake_up_rows import cut, with_jiffies
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.layout import LAYOUTS, Layout
from pghot.engine.memory import Node
from pghot.engine.recorder import PGHOT_HWHINTS
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import open_log
from pghot.log.schema import Metadata
from pghot.log.write import create_log
from pghot.replaying.replay import Settings, replay

TARGET_ROWS_A_SECOND = 20e6
PAGES = 2 * MI
SECONDS = 60
FEW = 1 << 15
STEP_US = 100_000
"""Between two wake-ups of kmigrated: its default sleep."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, help="rows of the log (default: 100 M)")
    args = options.parse_args()
    cores = os.sched_getaffinity(0)
    one_core()
    count = args.rows or (2 * MI if args.quick else 100_000_000)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.parquet"
        write_log(log, count)
        ratios, of_thread = {}, {}
        for room, free in {"few promoted": FEW, "all promoted": PAGES, "none promoted": 0}.items():
            for mode in LAYOUTS:
                case = f"{room}, {mode}"
                found += measure(log, count, mode, free, case)
                ratios[case], of_thread[case] = end_to_end(
                    log, machine(free), LAYOUTS[mode], cores
                )
    pace = {
        f"{row.case}, {row.variant}": round(1e3 / row.ns, 1)
        for row in found
        if row.variant != "memory"
    }
    missed = [
        name
        for name, millions in pace.items()
        if name.endswith("replay") and millions * 1e6 < TARGET_ROWS_A_SECOND
    ]
    more = {
        "million rows a second": pace,
        "below 20 million rows a second": missed or "none",
        "end to end": ratios,
        "engine's thread": of_thread,
    }
    show(f"replay of {count} rows, ns a row", found, as_json=args.json, more=more)


def machine(free_pages: int) -> Machine:
    """The machine of the log, with so much room in the top tier."""
    return Machine(
        (
            Node(0, 0, PAGES, toptier=True, cpus=(0, 1), free_pages=free_pages),
            Node(1, PAGES, PAGES, toptier=False),
        )
    )


def write_log(path: Path, count: int) -> None:
    """Write the log, a million rows at a time."""
    rng = np.random.default_rng(1)
    with create_log(path, Metadata(taken="bench/replay.py")) as log:
        for start in range(0, count, MI):
            size = min(MI, count - start)
            order = np.arange(start, start + size, dtype=np.uint64)
            log.write(
                {
                    "time_us": order * np.uint64(SECONDS * 1_000_000) // np.uint64(count),
                    "pfn": zipf(size, PAGES, rng).astype(np.uint64) + np.uint64(PAGES),
                    "nid": np.zeros(size, np.int16),
                    "source": np.full(size, PGHOT_HWHINTS, np.int8),
                }
            )


def measure(path: Path, count: int, mode: str, free_pages: int, case: str) -> list[Row]:
    """Time the stages, each with those before it."""
    known = machine(free_pages)
    layout = LAYOUTS[mode]
    in_memory = np.ones(1 << 18, np.uint64)

    def memory() -> None:
        """Read as many bytes as the rows have, 19 each, from the processor's caches."""
        for _ in range(0, count * 19, in_memory.nbytes):
            sequential_sum(in_memory)

    def read() -> None:
        with open_log(path) as log:
            for _ in log.chunks():
                pass

    def check() -> None:
        with open_log(path) as log:
            checked = RowCheck(path, known)
            for chunk in log.chunks():
                checked.good_rows(chunk)

    stages = {
        "memory": memory,
        "read": read,
        "+ check": check,
        "+ record": partial(record, path, known, layout),
        "replay": partial(replay, path, known, Settings(layout=layout)),
    }
    timing = interleave(stages, 3)
    return rows(case, timing, count, dict.fromkeys(stages, "memory"))


def record(path: Path, known: Machine, layout: Layout) -> None:
    """Read, check and record the log; kmigrated never looks."""
    engine = Engine(ArrayMemory(known.nodes), layout)
    engine.write("enabled_sources", "3")
    engine.start()
    with open_log(path) as log:
        checked = RowCheck(path, known)
        good_rows = map(checked.good_rows, log.chunks())
        for piece in cut(with_jiffies(good_rows, known.hz), STEP_US):
            engine.record_many(piece.pfn, piece.nid, piece.source, piece.jiffies)


def end_to_end(path: Path, known: Machine, layout: Layout, cores: set[int]) -> tuple[float, float]:
    """A replay on these cores to reading and recording on this one: wall time, CPU time.

    Of the replay that is the CPU time of the thread that has the engine.
    """

    def beside() -> None:
        one = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)
        try:
            replay(path, known, Settings(layout=layout))
        finally:
            os.sched_setaffinity(0, one)

    alone, mine = [], []
    for _ in range(3):
        alone.append(clocks(partial(record, path, known, layout)))
        mine.append(clocks(beside))
    wall = min(one.wall for one in mine) / min(one.wall for one in alone)
    cpu = min(one.thread for one in mine) / min(one.process for one in alone)
    return round(wall, 2), round(cpu, 2)


class Clocks(NamedTuple):
    """Seconds that go by; of CPU time of this thread; of the process with all its threads."""

    wall: float
    thread: float
    process: float


def clocks(work: Callable[[], object]) -> Clocks:
    """What `work` takes."""
    read = (time.perf_counter, time.thread_time, time.process_time)
    begun = [clock() for clock in read]
    work()
    return Clocks(*(clock() - start for clock, start in zip(read, begun, strict=True)))


if __name__ == "__main__":
    main()
