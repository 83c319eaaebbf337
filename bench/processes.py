"""What processes cost a run: 10,000 targets, of which 850 a second come and go.

On a made host, whose /proc is files in this machine's temporary directory; a real one takes
longer in the kernel for each file, so the reads of each are counted as well.  Nothing is
accessed: what is measured is what goes by processes.  Times are CPU time in ms for a second of
the run (10 are 1 % of a core): of the loop, draining and taking in forks, exits and what was
found; and of the looks beside it, at the processes and at the nodes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from _measure import Row, one_core, parser, show
from pghot.driving.run_state import SourceCounts
from pghot.linux.host import Host
from pghot.linux.nodes.memory_blocks import MemoryBlocks
from pghot.linux.nodes.topology import read_topology
from pghot.linux.perf.arrays import EXIT, FORK, TaskColumns
from pghot.linux.processes.following import look_for
from pghot.linux.processes.targets import Pids
from pghot.live.machine import HostMachine
from pghot.live.reorder_buffer import ReorderBuffer
from pghot.sources.live_source import LiveSource, Samples
from tests.linux.host_trees import two_tier
from tests.linux.proc_tree import STAT

FIRST = 1000
CHILD = 2_000_000
DRAINS = 20
"""Drains a second: some ten wake-ups, and rings that are half full."""

LIFE = 3
"""Drains that a child lives for."""

CHILDREN = 850
SECONDS = 5
LIMIT_MS = 50.0
"""Under 5 % of a core."""


class Counting(Host):
    """A host that counts the files that are read."""

    reads = 0

    def text(self, name: str) -> str:
        self.reads += 1
        return super().text(name)


class Tasks(LiveSource):
    """A source that has no samples, and the tasks that it is told of."""

    name = "hintfault"

    def __init__(self) -> None:
        self.counts = SourceCounts()
        self.waiting: list[tuple[int, int, int]] = []

    def drain(self) -> Samples:
        kinds = (np.uint64, np.int32, np.uint64, np.uint64, np.int16, np.int32, np.bool_)
        return Samples(*(np.zeros(0, kind) for kind in kinds))

    def take_tasks(self) -> TaskColumns:
        kind, pid, ppid = np.array(self.waiting, np.int32).reshape(-1, 3).T
        self.waiting = []
        return TaskColumns(np.zeros(len(pid), np.uint64), kind.astype(np.uint8), pid, ppid, pid)


class Life:
    """Children of the first process that come and go."""

    def __init__(self, root: Path, source: Tasks) -> None:
        self._root, self._source = root, source
        self._next = CHILD
        self._living: list[range] = []

    def step(self) -> None:
        """Let as many come as come between two drains, and as many go."""
        born = range(self._next, self._next + CHILDREN // DRAINS)
        self._next = born[-1] + 1
        for pid in born:
            process(self._root, pid, FIRST)
            self._source.waiting.append((FORK, pid, FIRST))
        self._living.append(born)
        for pid in self._living.pop(0) if len(self._living) > LIFE else ():
            shutil.rmtree(self._root / "proc" / str(pid))
            self._source.waiting.append((EXIT, pid, FIRST))


class Nobody:
    """Moves nothing."""

    def move(self, *_: object) -> np.ndarray:
        raise AssertionError


def main() -> None:
    args = parser(__doc__).parse_args()
    one_core()
    found: list[Row] = []
    reads: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        for members in (1000,) if args.quick else (1000, 10_000):
            found += measure(Path(directory) / str(members), members, reads)
    show("ms a second", found, as_json=args.json, unit="ms", more={"files read a second": reads})


def measure(root: Path, members: int, reads: dict[str, float]) -> list[Row]:
    two_tier(root)
    process(root, FIRST, 1)
    for pid in range(FIRST + 1, FIRST + members):
        process(root, pid, FIRST)
    host = Counting(root)
    targets, source, blocks = Pids([FIRST]), Tasks(), MemoryBlocks()
    targets.resolve(host)
    looking = look_for(targets, print)
    machine = HostMachine(host, read_topology(host, blocks_of=blocks.of), Nobody())
    buffer = ReorderBuffer([source], targets, machine, 0)
    life = Life(root, source)
    first = looking.look()
    targets.changed(first.came, first.gone, first.cpu_ticks)
    host.reads = 0
    loop = beside = 0.0
    for _ in range(SECONDS):
        for _ in range(DRAINS):
            life.step()
            loop += timed(buffer.drain)
            loop += timed(lambda: targets.contains(np.zeros(10, np.int32)))
        start = time.thread_time()
        change = looking.look()
        beside += time.thread_time() - start
        loop += timed(lambda change=change: targets.changed(*as_arguments(change)))
    beside += timed(lambda: read_topology(host, grown=True, blocks_of=blocks.of))
    assert len(targets.members) == members + LIFE * (CHILDREN // DRAINS)  # noqa: S101
    case = f"{members:,} processes, {CHILDREN} children a second"
    reads[case] = host.reads / SECONDS
    ms = {"loop": loop * 1e3 / SECONDS, "beside": beside * 1e3 / SECONDS}
    return [Row(case, name, took, took / LIMIT_MS, 1) for name, took in ms.items()]


def as_arguments(change):
    return change.came, change.gone, change.cpu_ticks


def timed(work) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def process(root: Path, pid: int, ppid: int) -> None:
    directory = root / "proc" / str(pid)
    directory.mkdir(parents=True)
    line = STAT.format(
        pid=pid, comm="load", state="S", ppid=ppid, flags=0, threads=1, starttime=pid
    )
    (directory / "stat").write_text(line)


if __name__ == "__main__":
    main()
