"""What samples cost a run: drained, recorded, logged, against writing the rings to a file.

A second has 100,000 hint faults on two CPUs, drained every 100 ms.  The yardstick is what
`perf record` cannot do without: write(2) of each ring's bytes to a file.  `drain` ends in rows
in time order; `record` hands them to the engine; `log` writes them as `pghot record` does, a part
every two seconds; `merge` makes one log of the parts when a recording ends.  Pages are not looked
up in /proc here (`pghot.live.page_metadata`): that is asked of those alone that may become hot.
CPU time of all threads, medians of rounds.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from _measure import interleave, one_core, options, rows, show
from pghot.driving.wake_up_rows import jiffies_of
from pghot.engine.engine import Engine
from pghot.engine.layout import LAYOUTS
from pghot.files.directory import open_directory
from pghot.linux.nodes.topology import read_topology
from pghot.linux.perf.sample_layout import sample_layout
from pghot.linux.processes.targets import Pids
from pghot.live.machine import HostMachine
from pghot.live.reorder_buffer import ReorderBuffer, logged
from pghot.log.parts import PartsWriter, merge_parts
from pghot.log.schema import REQUIRED, Metadata
from pghot.sources import hint_faults
from tests.linux.host_trees import N, Z, two_tier, write, write_nodes
from tests.linux.perf_rig import PerfHost
from tests.linux.proc_tree import STAT

PID = 4711
PAGES = 1 << 16
"""Pages of the process, 256 MiB, all on the slow node."""

SLOW_PFN = 0x100000
STEP_US = 100_000
SAMPLES = 5000
"""Samples of a CPU in a step."""

STEPS = 20
"""Steps of a part of a log."""


class Nobody:
    """Moves nothing."""

    def move(self, *_: object) -> np.ndarray:
        raise AssertionError


class Rig:
    """A made host with two rings that are filled before each step."""

    def __init__(self, root: Path) -> None:
        make_host(root)
        self.host = PerfHost(root)
        targets = Pids([PID])
        targets.resolve(self.host)
        self.source = hint_faults.open_source(self.host, follow=True)
        self.machine = HostMachine(self.host, read_topology(self.host), Nobody())
        self.buffer = ReorderBuffer([self.source], targets, self.machine, 0)
        self._rng = np.random.default_rng(1)
        self.instant = 0

    def fill(self) -> list[bytes]:
        """Write another step's samples into the rings; the bytes of each."""
        begin, self.instant = self.instant, self.instant + STEP_US
        content = [sampled(self._rng, cpu, begin) for cpu in (0, 1)]
        for cpu, ring in enumerate(content):
            self.host.rings[cpu][0].write(ring)
        return content

    def rows(self) -> dict[str, np.ndarray]:
        """Drain."""
        self.buffer.drain()
        return self.buffer.until(self.instant)


def make_host(root: Path) -> None:
    """Two CPUs, and a slow node of 1 GiB."""
    two_tier(root)
    fast = N(0, "0-1", "10 50", (Z("DMA32", 0x8000, 0x38000),), tuple(range(1, 8)))
    slow = N(1, "", "50 10", (Z("Normal", SLOW_PFN, 0x40000),), tuple(range(32, 40)))
    write_nodes(root, (fast, slow), {4: "0", 112: "1"})
    stat = STAT.format(pid=PID, comm="load", state="S", ppid=1, flags=0, threads=1, starttime=1000)
    write(root, f"/proc/{PID}/stat", stat)
    write(root, f"/proc/{PID}/status", f"Name:\tload\nTgid:\t{PID}\nPid:\t{PID}")
    write(root, "/sys/devices/system/cpu/online", "0-1")


def sampled(rng: np.random.Generator, cpu: int, begin_us: int) -> bytes:
    """A ring's samples of a step: any page, any offset in it, any time of the step."""
    layout = sample_layout(hint_faults.SAMPLE_TYPE)
    page = rng.integers(0, PAGES, SAMPLES)
    made = np.zeros((SAMPLES, layout.words), np.uint64)
    made[:, 0] = struct.unpack("=Q", struct.pack("=IHH", 9, 2, layout.words * 8))[0]
    made[:, layout.tid] = PID << 32 | PID
    made[:, layout.time] = begin_us * 1000 + np.sort(rng.integers(0, STEP_US * 1000, SAMPLES))
    made[:, layout.addr] = 0x7F00_0000_0000 + page * 4096 + rng.integers(0, 4096, SAMPLES)
    made[:, layout.cpu] = cpu
    made[:, layout.phys] = (SLOW_PFN + page) * 4096
    return made.tobytes()


def main() -> None:
    args = options(__doc__)
    one_core()
    with tempfile.TemporaryDirectory() as directory, variants(Path(directory)) as made:
        timing = interleave(made, 3 if args.quick else 15, clock=lambda work: work())
        found = rows("hint faults", timing, STEPS * 2 * SAMPLES, dict.fromkeys(made, "write"))
    show("samples, ns each", found, as_json=args.json)


@contextmanager
def variants(directory: Path) -> Iterator[dict[str, Callable[[], float]]]:
    """What is timed, by name; each gives the seconds that its own steps took."""
    rigs = {name: Rig(directory / name) for name in ("drain", "record", "log")}
    engine = Engine(rigs["record"].machine, LAYOUTS["default"], hz=1000)
    engine.write("enabled_sources", "1")
    engine.start()
    parts = directory / "log.parts"
    parts.mkdir()
    columns = (*REQUIRED, *logged([rigs["log"].source]))
    log = PartsWriter(open_directory(parts), columns, Metadata())
    to = os.open(directory / "raw", os.O_WRONLY | os.O_CREAT)

    def write_rings() -> float:
        content = rigs["drain"].fill()
        rigs["drain"].rows()
        return timed(lambda: [os.write(to, ring) for ring in content])

    def drain() -> float:
        rigs["drain"].fill()
        return timed(rigs["drain"].rows)

    def record() -> float:
        rigs["record"].fill()
        return timed(lambda: recorded(engine, rigs["record"].rows()))

    def step() -> float:
        rigs["log"].fill()
        return timed(lambda: log.write(rigs["log"].rows()))

    def merge() -> float:
        took = timed(lambda: merge_parts(parts, directory / "merged", force=True))
        for part in parts.iterdir():
            part.unlink()
        return took

    yield {
        "write": lambda: sum(write_rings() for _ in range(STEPS)),
        "drain": lambda: sum(drain() for _ in range(STEPS)),
        "record": lambda: sum(record() for _ in range(STEPS)),
        "log": lambda: sum(step() for _ in range(STEPS)) + timed(log.end_part),
        "merge": merge,
    }
    os.close(to)


def recorded(engine: Engine, taken: dict[str, np.ndarray]) -> None:
    """Hand rows to the engine."""
    jiffies = jiffies_of(taken["time_us"], engine.hz)
    engine.record_many(taken["pfn"], taken["nid"], taken["source"], jiffies, taken["latency_us"])


def timed(work: Callable[[], object]) -> float:
    """Seconds of CPU time of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
