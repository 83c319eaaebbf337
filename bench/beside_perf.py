"""Minor faults drained, recorded and logged, beside `perf record` of the same event: CPU a sample.

    sudo python bench/beside_perf.py [--seconds 10] [--rate 100000]

A process takes faults; `perf record -p` writes its samples to a file, then rings of the same
event are drained here every 100 ms into an engine, and into a log's parts, in turns.  All memory
of this machine counts as slow, so that every sample becomes a row.  What either takes to start
and to end is left out.  Needs perf, and root for physical addresses.
"""

from __future__ import annotations

import argparse
import mmap
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from drain import Nobody, recorded
from pghot.engine.engine import Engine
from pghot.engine.layout import LAYOUTS
from pghot.files.directory import open_directory
from pghot.linux.host import Host
from pghot.linux.nodes.topology import read_topology
from pghot.linux.processes.targets import Pids
from pghot.live.machine import HostMachine
from pghot.live.reorder_buffer import ReorderBuffer, logged
from pghot.log.parts import PartsWriter
from pghot.log.schema import REQUIRED, Metadata
from pghot.sources import hint_faults
from tests.linux.host_trees import N, RecordedHost, Z, write_nodes

STEP_S = 0.1
START_S = 2
ROUNDS = 3
LOAD = """
import mmap, sys, time
import numpy as np
rate = float(sys.argv[1])
count = np.memmap(sys.argv[2], np.uint64, "r+")
pages = 1 << 12
memory = mmap.mmap(-1, pages * mmap.PAGESIZE)
memory.madvise(mmap.MADV_NOHUGEPAGE)
touched = np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE]
due = time.monotonic()
while True:
    touched[:] = 1
    count[0] += pages
    memory.madvise(mmap.MADV_DONTNEED)
    due = max(due + pages / rate, time.monotonic() - 1)
    time.sleep(max(due - time.monotonic(), 0))
"""


class Load:
    """A process that takes faults, and how many it has taken."""

    def __init__(self, directory: Path, rate: float) -> None:
        counter = directory / "count"
        counter.write_bytes(bytes(8))
        self._count = np.memmap(counter, np.uint64, "r")
        self.process = subprocess.Popen([sys.executable, "-c", LOAD, str(rate), str(counter)])
        while not self.taken:
            time.sleep(STEP_S)

    @property
    def taken(self) -> int:
        """Faults so far."""
        return int(self._count[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        load = Load(directory, args.rate)
        try:
            compare(load, directory, args.seconds)
        finally:
            load.process.kill()


def compare(load: Load, directory: Path, seconds: float) -> None:
    """Take turns, and print nanoseconds a sample and ratios to perf's of the same turn."""
    took: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        took.setdefault("perf record", []).append(by_perf(load, directory, seconds))
        for name, made in {"drain": drained, "record": into_engine, "log": into_log}.items():
            with tempfile.TemporaryDirectory(dir=directory) as place:
                took.setdefault(name, []).append(by_rings(load, Path(place), seconds, made))
    print(f"{median(rates):,.0f} samples a second")
    for name, ns in took.items():
        ratio = median(a / b for a, b in zip(ns, took["perf record"], strict=True))
        print(f"{name:12} {median(ns):8.1f} ns a sample  {ratio:6.2f} of perf record's")


def by_perf(load: Load, directory: Path, seconds: float) -> float:
    """CPU time of `perf record` a sample, in ns, once it has started."""
    event = ("-e", "minor-faults:u", "-c", "1", "-d", "--phys-data", "--sample-cpu")
    output = ("-B", "-N", "-q", "-o", directory / "perf.data")
    words = ("perf", "record", *event, *output, "-p", str(load.process.pid))
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as child:
        time.sleep(START_S)
        ns, taken = cpu_ns(child.pid), load.taken
        time.sleep(seconds)
        used = (cpu_ns(child.pid) - ns) / (load.taken - taken)
        child.send_signal(signal.SIGINT)
    return used


def cpu_ns(pid: int) -> int:
    """Nanoseconds that a process has run."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


rates: list[float] = []
"""Samples a second of each turn."""

Rows = dict[str, np.ndarray]
Taker = Callable[[Rows], None]


def by_rings(load: Load, place: Path, seconds: float, made: Callable[..., object]) -> float:
    """CPU time of this process a sample, in ns, where `made` takes the rows."""
    host = made_host(place)
    targets = Pids([load.process.pid])
    targets.resolve(Host())
    machine = HostMachine(host, read_topology(host), Nobody())
    with closing(hint_faults.open_source(Host(), load.process.pid)) as source:
        buffer = ReorderBuffer([source], targets, machine, time.monotonic_ns())
        with made(machine, source, place) as take:
            source.enable()
            start = time.monotonic()
            cpu = time.process_time()
            while (now := time.monotonic()) < start + seconds:
                buffer.drain()
                take(buffer.until(int((now - start) * 1e6)))
                time.sleep(STEP_S)
            source.disable()
        used = time.process_time() - cpu
        rates.append(source.counts.seen / (time.monotonic() - start))
        if source.counts.lost or any(buffer.left_out.values()):
            print(f"lost {source.counts.lost}, left out {buffer.left_out}", file=sys.stderr)
        return used / source.counts.seen * 1e9


@contextmanager
def drained(*_: object) -> Iterator[Taker]:
    """Nobody takes them."""
    yield lambda _rows: None


@contextmanager
def into_engine(machine: HostMachine, *_: object) -> Iterator[Taker]:
    """The engine records them."""
    engine = Engine(machine, LAYOUTS["default"], hz=1000)
    engine.write("enabled_sources", "1")
    engine.start()
    yield lambda rows: recorded(engine, rows)


@contextmanager
def into_log(machine: HostMachine, source: object, place: Path) -> Iterator[Taker]:
    """A log's parts take them, one every two seconds."""
    del machine
    (place / "parts").mkdir()
    columns = (*REQUIRED, *logged([source]))
    parts = PartsWriter(open_directory(place / "parts"), columns, Metadata())
    due = time.monotonic() + 2

    def take(rows: Rows) -> None:
        nonlocal due
        parts.write(rows)
        if time.monotonic() > due:
            due += 2
            parts.end_part()

    yield take
    parts.end_part()


def made_host(place: Path) -> RecordedHost:
    """A host all of whose memory below 256 GiB is slow."""
    root = place / "host"
    pages = (256 << 30) // mmap.PAGESIZE
    slow = N(1, "", "50 10", (Z("Normal", 0, pages),))
    fast = N(0, "0-1", "10 50", (Z("Normal", pages, 1 << 18),))
    write_nodes(root, (fast, slow), {4: "0", 112: "1"})
    return RecordedHost(root, mmap.PAGESIZE)


if __name__ == "__main__":
    main()
