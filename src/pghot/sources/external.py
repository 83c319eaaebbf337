"""Accesses that other programs report, over a unix socket: `--source external:PATH`.

A CXL hotness unit, an eBPF program, an emulator.  The form is docs/external.md's.  An access
names a process and an address, whose frame its page tables tell, or a bare page frame, whose
process `linux.pages.reverse_map` looks for among the targets.  It counts as a hardware hint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pghot.driving.run_state import SourceCounts
from pghot.engine.distinct import distinct
from pghot.engine.lists import parse_list
from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages.kpage import KPages
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.targets import Pids, Targets
from pghot.sources import access_form as form
from pghot.sources.bare_frames import ACCESS, NO_ACCESSES, Accesses, BareFrames
from pghot.sources.live_source import EXTERNAL, LiveSource, Samples
from pghot.sources.writers import Writers

NAME = EXTERNAL
REPORTS_AS = "hwhint"
REST_US = 5000
"""Microseconds between two looks at writers that write: each takes in what came meanwhile."""

MOST_PAGES = 1 << 20
"""Pages of ranges that are taken in at a time."""

MOST_NOTES = 100
ONLINE_NODES = "/sys/devices/system/node/online"


class External:
    """The source at one socket, as `registry.SourceModule` has it."""

    TITLE = "accesses from outside"
    REPORTS_AS = REPORTS_AS

    def __init__(self, path: str) -> None:
        """InputError where there is no path."""
        if not path:
            raise InputError(f"--source {NAME}: wants a socket, as in {NAME}:/run/pghot-feed.sock")
        self.NAME = f"{NAME}:{path}"
        self._path = Path(path)

    def why_not(self, host: Host) -> str | None:
        """None: what is needed is in every kernel."""
        del host
        return None

    def uses(self, host: Host) -> str:
        """The socket."""
        del host
        return f"the socket {self._path}"

    def open_source(self, host: Host, *, follow: bool = False) -> ExternalSource:
        """Listen; InputError or PghotError, one line, where it cannot."""
        del follow  # no writer tells of forks: processes are looked for once a second
        return ExternalSource(host, self._path)


class ExternalSource(LiveSource):
    """Accesses from a socket; see `live_source.LiveSource`."""

    name = NAME
    counted = True

    def __init__(
        self, host: Host, path: Path, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.counts = SourceCounts()
        self._notes: list[str] = []
        self._host = host
        self._clock = clock
        self._page_size = host.sysconf("SC_PAGE_SIZE")
        self._nids = _node_ids(host)
        self._targets: Targets = Pids(())
        self._waiting = NO_ACCESSES
        self._enabled = False
        with ExitStack() as stack:
            self._pagemap = stack.enter_context(Pagemap(host, self._page_size))
            self._kpages = stack.enter_context(KPages(host))
            self._frames = stack.enter_context(BareFrames(host, self.counts, self._note, clock))
            self._writers = Writers(path, self.counts, self._note)
            stack.callback(self._writers.close)
            self._stack = stack.pop_all()

    @property
    def reports_as(self) -> str:
        """Hardware hints."""
        return REPORTS_AS

    @property
    def notes(self) -> list[str]:
        """What was wrong with writers, a line each."""
        return self._notes

    @property
    def descriptors(self) -> list[int]:
        """The socket and its connections, unless there is something to do anyway."""
        if not self._enabled or self._busy:
            return []
        return self._writers.descriptors

    @property
    def rest_us(self) -> int | None:
        """Not long where accesses come, or wait for their process to be found."""
        return REST_US if self._enabled and self._busy else None

    def enable(self) -> None:
        """Take in what is written from now on, and what waits already."""
        self._enabled = True

    def disable(self) -> None:
        """Stop asking to be drained; what was written still can be."""
        self._enabled = False

    def watch(self, targets: Targets) -> None:
        """Take in whose page tables to look through."""
        self._targets = targets
        self._frames.watch(targets)

    def follow_cpus(self) -> bool:
        """Take in nodes that came or went."""
        self._nids = _node_ids(self._host)
        return False

    def drain(self) -> Samples:
        """What was written since, as far as it is known whose it is."""
        records = self._next()
        named = self._of_processes(records[records["pid"] > 0])
        bare = self._of_frames(records[records["pid"] == 0])
        return _samples(np.concatenate([named, bare]))

    def close(self) -> None:
        """Close the socket, which goes, and the files of pages."""
        self._stack.close()

    @property
    def _busy(self) -> bool:
        return self._writers.busy or self._frames.busy or len(self._waiting) > 0

    def _next(self) -> Accesses:
        """The next accesses, of at most MOST_PAGES pages in all; the others wait."""
        now = self._clock()
        if not len(self._waiting):
            records = self._writers.read(now, self._nids)
            self._waiting = np.zeros(len(records), ACCESS)
            for name in form.DTYPE.names or ():
                self._waiting[name] = records[name]
            self._waiting["time_ns"][records["time_ns"] == 0] = now
        pages = np.cumsum(self._waiting["pages"], dtype=np.int64)
        end = max(int(np.searchsorted(pages, MOST_PAGES, side="right")), 1)
        now_due, self._waiting = self._waiting[:end], self._waiting[end:]
        return now_due

    def _of_processes(self, named: Accesses) -> Accesses:
        """Accesses by process and address, with the frames that are there now.

        Those of no target have none: they are none of ours, and counted so.
        """
        accesses, of = _by_page(named, self._page_size)
        accesses["vaddr"] = accesses["where"]
        ours = self._targets.contains(accesses["pid"])
        for pid in distinct(accesses["pid"][ours]).tolist():
            rows = np.flatnonzero(accesses["pid"] == pid)
            starttime = self._targets.starttime(pid)
            mapped = self._pagemap.lookup(pid, accesses["vaddr"][rows], starttime)
            accesses["pfn"][rows] = mapped.pfn
        lost = ours & (accesses["pfn"] == 0)
        self.counts.unresolved += int(np.count_nonzero(lost))
        self.counts.seen += int(np.count_nonzero(lost))
        there = self._by_folio(accesses[~lost], of[~lost])
        self.counts.seen += len(there)
        return there

    def _of_frames(self, bare: Accesses) -> Accesses:
        """Accesses by frame whose process has been found by now; the others are held, or lost."""
        accesses, of = _by_page(bare, 1)
        accesses["pfn"] = accesses["where"]
        accesses = self._by_folio(accesses, of)
        self.counts.seen += len(accesses)
        return self._frames.resolve(accesses)

    def _by_folio(self, accesses: Accesses, of: npt.NDArray[np.intp]) -> Accesses:
        """Each folio once, of accesses that are pages of ranges; `of` says of which."""
        if not len(of) or (of[1:] != of[:-1]).all():
            return accesses
        pfns = accesses["pfn"]
        heads = np.where(pfns != 0, self._kpages.heads(pfns), accesses["where"])
        order = np.lexsort((heads, of))
        of, heads = of[order], heads[order]
        again = (of[1:] == of[:-1]) & (heads[1:] == heads[:-1])
        kept: Accesses = accesses[np.sort(order[np.append([True], ~again)])]
        return kept

    def _note(self, line: str) -> None:
        if line not in self._notes and len(self._notes) < MOST_NOTES:
            self._notes.append(line)


def _by_page(accesses: Accesses, step: int) -> tuple[Accesses, npt.NDArray[np.intp]]:
    """An access a page, and which each was of; `step` is from one page to the next."""
    pages = accesses["pages"].astype(np.int64)
    of = np.repeat(np.arange(len(accesses)), pages)
    offset = np.arange(len(of)) - (np.cumsum(pages) - pages)[of]
    each = accesses[of]
    each["where"] += offset.astype(np.uint64) * np.uint64(step)
    return each, of


def _samples(accesses: Accesses) -> Samples:
    accesses = accesses[np.argsort(accesses["time_ns"], kind="stable")]
    return Samples(
        time_ns=accesses["time_ns"].copy(),
        pid=accesses["pid"].copy(),
        vaddr=accesses["vaddr"].copy(),
        pfn=accesses["pfn"].copy(),
        nid=accesses["nid"].copy(),
        cpu=np.full(len(accesses), -1, np.int32),
        write=accesses["flags"] & np.uint16(form.WRITE) != 0,
        nr=accesses["nr"].copy(),
    )


def _node_ids(host: Host) -> tuple[int, ...]:
    return parse_list(host.text_or(ONLINE_NODES)) or (0,)
