"""A made-up two-tier host in virtual time: processes, page tables, frames, a kernel that moves.

Files lie below a temporary root in the shape of the kernel's; what a kernel does to them,
`World` does.  Accesses come by `Source`, which resolves frames when they happen, as perf does.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pghot.driving.observer import Observer
from pghot.driving.run_state import RunState, SourceCounts
from pghot.engine.lists import parse_list
from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.pages.kpf import (
    KPF_ANON,
    KPF_BUDDY,
    KPF_COMPOUND_HEAD,
    KPF_COMPOUND_TAIL,
    KPF_LRU,
    KPF_MMAP,
    KPF_THP,
)
from pghot.linux.perf.arrays import EXEC, EXIT, FORK, TaskColumns
from pghot.live.clock import Clock
from pghot.live.follower import Follower
from pghot.live.mailbox import Mailbox
from pghot.live.options import EngineOptions, LiveOptions
from pghot.live.result import LiveResult
from pghot.live.run import run_engine
from pghot.live.session import Session, open_session
from pghot.live.trial_plan import TrialPlan
from pghot.sources.live_source import Samples
from tests.batches import EachBatch
from tests.linux.host_trees import N, Z, two_tier, write, write_nodes
from tests.linux.proc_tree import STAT

if TYPE_CHECKING:
    import pytest

    from pghot.log.events import Events

FAST, SLOW, ADDED = 0, 1, 2
PAGE = 4096
HUGE = 512
MS = 1000
FAR_FAST, MIDDLE, MEMORYLESS = 3, 4, 5
FIRST_FREE = {
    FAST: 0x8000, SLOW: 0x100000, ADDED: 0x140000, FAR_FAST: 0x150000, MIDDLE: 0x158000,
}  # fmt: skip
"""PFNs from which each node's frames are handed out: one section after another."""

END = {
    FAST: 0x40000, SLOW: 0x140000, ADDED: 0x148000, FAR_FAST: 0x158000, MIDDLE: 0x160000,
}  # fmt: skip
SCAN = "/sys/kernel/debug/sched/numa_balancing"
ONE = 1 << KPF_LRU | 1 << KPF_MMAP | 1 << KPF_ANON
HEAD = ONE | 1 << KPF_COMPOUND_HEAD | 1 << KPF_THP
TAIL = ONE | 1 << KPF_COMPOUND_TAIL | 1 << KPF_THP
FREE = 1 << KPF_BUDDY


class VirtualClock(Clock):
    """Time that passes when somebody waits; `at` says what happens then."""

    def __init__(self) -> None:
        self.ns = 10**9
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._follower: Follower | None = None
        super().__init__()

    def now_ns(self) -> int:
        return self.ns

    def at(self, us: int, event: Callable[[], None]) -> None:
        """Let something happen at a time since the start; of one time in this order."""
        self._events.append((us, len(self._events), event))
        self._events.sort(key=lambda item: item[:2], reverse=True)

    def wait_until(self, us: int, descriptors: Sequence[int]) -> bool:  # noqa: ARG002
        while self._events and self._events[-1][0] <= us:
            when, _, event = self._events.pop()
            self.ns = max(self.ns, self.start_ns + when * 1000)
            event()
        self.ns = max(self.ns, self.start_ns + us * 1000)
        if self._follower is not None:
            self._follower.look()
        return True

    @contextmanager
    def beside(self, follower: Follower, session: Session) -> Iterator[None]:  # noqa: ARG002
        """Look in virtual time: whenever somebody has waited."""
        self._follower = follower
        yield
        self._follower = None


class Source:
    """A source that is told of accesses and of tasks."""

    descriptors: Sequence[int] = ()
    counted = False
    rest_us: int | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = SourceCounts()
        self.notes: list[str] = []
        self.enabled = self.closed = False
        self.nid_of_cpu: dict[int, int] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []
        self._tasks: list[tuple[int, int, int]] = []

    @property
    def reports_as(self) -> str:
        return self.name

    def watch(self, targets) -> None:
        """Perf names the process by itself."""

    def see(self, time_ns: int, pid: int, vaddr: int, pfn: int, cpu: int) -> None:
        if self.enabled:
            self._rows.append((time_ns, pid, vaddr, pfn, cpu))

    def task(self, kind: int, pid: int, ppid: int) -> None:
        self._tasks.append((kind, pid, ppid))

    def enable(self) -> None:
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def drain(self) -> Samples:
        rows = sorted(self._rows)
        self._rows = []
        self.counts.seen += len(rows)
        time, pid, vaddr, pfn, cpu = zip(*rows, strict=True) if rows else ([],) * 5
        return Samples(
            np.array(time, np.uint64),
            np.array(pid, np.int32),
            np.array(vaddr, np.uint64),
            np.array(pfn, np.uint64),
            np.array([self.nid_of_cpu.get(one, FAST) for one in cpu], np.int16),
            np.array(cpu, np.int32),
            np.zeros(len(rows), np.bool_),
        )

    def take_tasks(self) -> TaskColumns:
        tasks = self._tasks
        self._tasks = []
        kind, pid, ppid = zip(*tasks, strict=True) if tasks else ([],) * 3
        return TaskColumns(
            np.zeros(len(tasks), np.uint64),
            np.array(kind, np.uint8),
            np.array(pid, np.int32),
            np.array(ppid, np.int32),
            np.array(pid, np.int32),
        )

    def follow_cpus(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True


@dataclass
class Mapping:
    """A folio that a process has at a virtual page."""

    pfn: int
    pages: int
    nid: int
    memcg: int


class World(Host):
    """The host.  Addresses are virtual page numbers; `moves` are the calls of move_pages."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        two_tier(root)
        self.nodes = (
            N(FAST, "0-1", "10 50", (Z("DMA32", 0x8000, 0x38000),), tuple(range(1, 8))),
            N(SLOW, "", "50 10", (Z("Normal", 0x100000, 0x40000),), tuple(range(32, 40))),
        )
        write_nodes(root, self.nodes, {4: "0", 112: "1"})
        for name in ("scan_delay_ms", "scan_period_max_ms"):
            write(root, f"{SCAN}/{name}", "1000")
        for name in ("kpageflags", "kpagecgroup"):
            write(root, f"/proc/{name}", b"")
        write(root, "/proc/meminfo", "MemTotal: 3145728 kB")
        self.clock = VirtualClock()
        self.source = Source("hintfault")
        self.tables: dict[int, dict[int, Mapping]] = {}
        self.free = {FAST: 50_000, SLOW: 50_000}
        self.protected = {FAST: 0, SLOW: 0}
        self.busy: set[tuple[int, int]] = set()
        self.on_move: Callable[[], None] = lambda: None
        self.move_all = False
        self.ns_a_page = 1000
        self.moves: list[tuple[int, list[int], int]] = []
        self.kernel_promoted = 0
        self._next = dict(FIRST_FREE)
        self._returned: dict[tuple[int, int], list[int]] = {}

    # What the engine reads.

    def text(self, name: str) -> str:
        if name == "/proc/zoneinfo":
            zones = [(n.id, z, not at) for n in self.nodes for at, z in enumerate(n.zones)]
            return "".join(
                Z(
                    z.name,
                    z.start_pfn,
                    z.spanned,
                    free=self.free[nid] if first else 0,
                    protection=self.protected.get(nid, 0),
                ).text(nid, first=first)
                for nid, z, first in zones
            )
        if name == "/proc/vmstat":
            return f"nr_free_pages 1\npgpromote_success {self.kernel_promoted}"
        return super().text(name)

    def write(self, name: str, text: str) -> None:
        assert self.exists(name)
        self.path(name).write_text(text + "\n")

    def sysconf(self, name: str) -> int:
        assert name in {"SC_PAGE_SIZE", "SC_CLK_TCK"}
        if name == "SC_CLK_TCK":
            return 100
        return PAGE

    def open_source(self, name: str, host: Host) -> Source:
        assert (name, host) == (self.source.name, self)
        return self.source

    # What processes do.

    def process(self, pid: int, *, ppid: int = 1, starttime: int = 1000) -> None:
        line = STAT.format(pid=pid, comm="load", state="S", ppid=ppid, flags=0, threads=1,
                           starttime=starttime)  # fmt: skip
        write(self.root, f"/proc/{pid}/stat", line)
        write(self.root, f"/proc/{pid}/status", f"Name:\tload\nTgid:\t{pid}\nPid:\t{pid}")
        write(self.root, f"/proc/{pid}/pagemap", b"")
        self.tables[pid] = {}

    def map(self, pid: int, page: int, nid: int = SLOW, pages: int = 1, memcg: int = 0) -> int:
        """Give a process a folio at a virtual page; gives its first PFN."""
        self._at(pid, page, Mapping(self._take(nid, pages), pages, nid, memcg))
        return self.tables[pid][page].pfn

    def unmap(self, pid: int, page: int) -> None:
        """Free a folio of a process: the next of that size on the node gets its frames."""
        was = self.tables[pid].pop(page)
        self._give_back(was)
        self._pagemap(pid, page, [0] * was.pages)

    def split(self, pid: int, page: int) -> None:
        """Make pages of a folio, where they are."""
        was = self.tables[pid].pop(page)
        for i in range(was.pages):
            self._at(pid, page + i, Mapping(was.pfn + i, 1, was.nid, was.memcg))

    def collapse(self, pid: int, page: int, pages: int) -> None:
        """Make a folio of pages: elsewhere, as khugepaged does."""
        was = [self.tables[pid].pop(page + i) for i in range(pages)]
        for one in was:
            self._give_back(one)
        self._at(
            pid, page, Mapping(self._take(was[0].nid, pages), pages, was[0].nid, was[0].memcg)
        )

    def fork(self, parent: int, child: int) -> None:
        """Make a child that shares all its parent's pages."""
        self.process(child, ppid=parent, starttime=2000)
        for page, mapping in self.tables[parent].items():
            self._at(child, page, mapping)
        self.source.task(FORK, child, parent)

    def execute(self, pid: int) -> None:
        """Run another program: no page is left of the old one."""
        for page in list(self.tables[pid]):
            self.unmap(pid, page)
        pagemap = f"/proc/{pid}/pagemap"
        self.path(pagemap).unlink()  # who has it open sees the old memory
        write(self.root, pagemap, b"")
        self.source.task(EXEC, pid, pid)

    def exit(self, pid: int, *, told: bool = True) -> None:
        """End a process; its memory comes back."""
        for mapping in self.tables.pop(pid).values():
            self._give_back(mapping)
        os.truncate(self.path(f"/proc/{pid}/pagemap"), 0)
        shutil.rmtree(self.path(f"/proc/{pid}"))
        if told:
            self.source.task(EXIT, pid, 1)

    def access(self, pid: int, page: int, *, ago_us: int = 0, cpu: int = 0) -> None:
        """Access a page now; its sample says that it was `ago_us` before."""
        table = self.tables.get(pid, {})
        head = next((h for h, m in table.items() if h <= page < h + m.pages), None)
        if head is None:
            return
        pfn = table[head].pfn + page - head
        self.source.see(self.clock.ns - ago_us * 1000, pid, page * PAGE + 24, pfn, cpu)

    def heat(
        self,
        pid: int,
        *pages: int,
        start_ms: int = 10,
        times: int = 4,
        each_ms: int = 50,
        cpu: int = 0,
    ) -> None:
        """Have pages accessed again and again, from `start_ms` after the start on."""
        for i in range(times):
            for page in pages:
                access = partial(self.access, pid, page, cpu=cpu)
                self.clock.at((start_ms + i * each_ms) * MS, access)

    def nid_of(self, pid: int, page: int) -> int:
        return self.tables[pid][page].nid

    def be(self, nodes: tuple[N, ...], tiers: dict[int, str]) -> None:
        """Have other nodes, whose frames lie where `FIRST_FREE` has them."""
        self.nodes = nodes
        shutil.rmtree(self.path("/sys/devices/virtual/memory_tiering"))
        shutil.rmtree(self.path("/sys/devices/system/node"))
        write_nodes(self.root, nodes, tiers)
        for node in nodes:
            self.free.setdefault(node.id, 20_000)
            self.source.nid_of_cpu.update(dict.fromkeys(parse_list(node.cpus), node.id))

    def grow(self) -> None:
        """Add a slow node, 128 MiB."""
        zone = Z("Movable", FIRST_FREE[ADDED], END[ADDED] - FIRST_FREE[ADDED])
        self.nodes = (*self.nodes, N(ADDED, "", "60 60 10", (zone,), (40,)))
        self.free[ADDED] = 30_000
        write_nodes(self.root, self.nodes, {4: "0", 112: "1-2"})

    def interleave(self) -> None:
        """Put the last GiB of the fast node's memory above the slow node's."""
        fast, slow = self.nodes
        zones = (Z("DMA32", 0x8000, 0x18000), Z("Normal", 0x140000, 0x20000))
        self.nodes = (replace(fast, zones=zones, blocks=(1, 2, 3, *range(40, 44))), slow)
        write_nodes(self.root, self.nodes, {4: "0", 112: "1"})

    def grow_below(self) -> None:
        """Online 128 MiB of the slow node below its first range: its frames come next."""
        fast, slow = self.nodes
        zones = (Z("DMA32", 0x80000, 0x8000), *slow.zones)
        self.nodes = (fast, replace(slow, zones=zones, blocks=(16, *slow.blocks)))
        write_nodes(self.root, self.nodes, {4: "0", 112: "1"})
        self._next[SLOW] = 0x80000

    # What the kernel does.

    def move_pages(self, pid, addresses, nodes):
        if nodes is not None:
            self.on_move()
        if pid not in self.tables:
            raise ProcessLookupError(errno.ESRCH, "move_pages: No such process")
        pages = [address // PAGE for address in addresses.tolist()]
        table = self.tables[pid]
        if nodes is None:
            return np.array(
                [table[p].nid if p in table else -errno.ENOENT for p in pages], np.int32
            )
        nid = int(nodes[0])
        self.moves.append((pid, pages, nid))
        return np.array([self._move(pid, page, nid) for page in pages], np.int32)

    def move_all_pages(self, pid, addresses, nodes):
        self.move_all = True
        try:
            return self.move_pages(pid, addresses, nodes)
        finally:
            self.move_all = False

    def _move(self, pid: int, page: int, nid: int) -> int:
        self.clock.ns += self.ns_a_page
        was = self.tables[pid].get(page)
        if was is None:
            return -errno.ENOENT
        if was.nid == nid:
            return nid
        sharing = [
            (one, at)
            for one, table in self.tables.items()
            for at, mapping in table.items()
            if mapping is was
        ]
        if len(sharing) > 1 and not self.move_all:
            return -errno.EACCES
        if (pid, page) in self.busy:
            return -errno.EBUSY
        if self.free[nid] < was.pages:
            raise OSError(errno.ENOMEM, "move_pages: Cannot allocate memory")
        for one, at in sharing:
            del self.tables[one][at]
        new = Mapping(self._take(nid, was.pages), was.pages, nid, was.memcg)
        self._give_back(was)
        for one, at in sharing:
            self._at(one, at, new)
        return nid

    def _take(self, nid: int, pages: int) -> int:
        self.free[nid] -= pages
        returned = self._returned.get((nid, pages), [])
        if returned:
            return returned.pop()
        pfn = -(-self._next[nid] // pages) * pages
        self._next[nid] = pfn + pages
        assert self._next[nid] <= END[nid]
        return pfn

    def _give_back(self, was: Mapping) -> None:
        if any(was in table.values() for table in self.tables.values()):
            return
        self.free[was.nid] += was.pages
        self._returned.setdefault((was.nid, was.pages), []).append(was.pfn)
        self._put("/proc/kpageflags", was.pfn, [FREE] * was.pages)

    def _at(self, pid: int, page: int, mapping: Mapping) -> None:
        self.tables[pid][page] = mapping
        pfns = range(mapping.pfn, mapping.pfn + mapping.pages)
        flags = [ONE] if mapping.pages == 1 else [HEAD] + [TAIL] * (mapping.pages - 1)
        self._put("/proc/kpageflags", mapping.pfn, flags)
        self._put("/proc/kpagecgroup", mapping.pfn, [mapping.memcg] * mapping.pages)
        self._pagemap(pid, page, [1 << 63 | pfn for pfn in pfns])

    def _pagemap(self, pid: int, page: int, entries: list[int]) -> None:
        self._put(f"/proc/{pid}/pagemap", page, entries)

    def _put(self, name: str, index: int, entries: list[int]) -> None:
        with self.path(name).open("r+b") as stream:
            stream.seek(8 * index)
            stream.write(np.array(entries, np.uint64).tobytes())


@dataclass
class Heard(EachBatch):
    """What a run told, and every batch of it."""

    lines: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    batches: list[tuple] = field(default_factory=list)

    def add(self, time_us, number, batch) -> None:
        self.batches.append((
            time_us, number, batch.from_nid, batch.to_nid, batch.memcg,
            batch.pfns.tolist(), batch.pages.tolist(), batch.moved.tolist(), batch.pages_moved,
        ))  # fmt: skip

    def said(self, words: str) -> list[str]:
        return [line for line in self.lines if words in line]


def run(
    world: World,
    options: LiveOptions | None = None,
    *,
    record: Path | None = None,
    observer: Observer | None = None,
    status: Callable[[RunState], None] = lambda _: None,
    events: Events | None = None,
    mailbox: Mailbox | None = None,
    trial: TrialPlan | None = None,
    **engine: object,
) -> tuple[LiveResult, Heard, int]:
    """Run the engine on the world; a second of virtual time on process 40 unless told else."""
    heard = Heard()

    def show(now: RunState) -> None:
        heard.statuses.append(round(now.live.real_s * 1e6))
        status(now)

    options = options or LiveOptions(pids=(40,), duration=1)
    result, code = run_engine(
        world,
        replace(options, beside=False),
        EngineOptions(**engine),
        tell=heard.lines.append,
        status=show,
        record=record,
        observer=observer or heard,
        events=events,
        opened=partial(open_session, open_source=world.open_source),
        clock=world.clock,
        mailbox=mailbox,
        trial=trial,
    )
    return result, heard, code


@dataclass
class Asker:
    """Somebody in another thread who writes tunables of a run; `refused` by (name, text)."""

    mailbox: Mailbox = field(default_factory=Mailbox)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    states: list[RunState] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def at(self, world: World, ms: int, name: str, text: str) -> None:
        """Write at a time since the start."""
        world.clock.at(ms * MS, partial(self._ask, name, text))

    def answered(self) -> Asker:
        """Wait until every write that was asked for has its answer."""
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive()
        return self

    def _ask(self, name: str, text: str) -> None:
        waiting = len(self.mailbox._waiting)
        self._threads.append(threading.Thread(target=self._write, args=(name, text), daemon=True))
        self._threads[-1].start()
        while len(self.mailbox._waiting) == waiting:
            time.sleep(0.001)

    def _write(self, name: str, text: str) -> None:
        try:
            self.mailbox.write(name, text)
        except (PghotError, ValueError) as error:
            self.refused[name, text] = str(error)
        else:
            self.written.append((name, text))
            self.states.append(self.mailbox.state())


def state_in(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the lock and the journal of settings in a directory of the test."""
    for module in ("lock", "settings_guard"):
        monkeypatch.setattr(f"pghot.linux.guard.{module}.default_state_dir", lambda: directory)
