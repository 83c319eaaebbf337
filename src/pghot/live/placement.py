"""What is known of where processes may have their memory, read beside the run's own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pghot.linux.host import Host
from pghot.linux.nodes.allowed_nodes import NO_POLICIES, Nodes, Policies, mems_of, read_policies

CPUSET_NS = 5_000_000_000
POLICIES_NS = 30_000_000_000
"""Nanoseconds after which a process's cpuset, and its policies, are read again."""

FIRST_NS = 500_000_000
"""At first it is sooner, then twice as long each time: programs set policies as they begin."""

SHARE = 20
"""Reading policies walks page tables: no more than one part in so many of the time goes there."""

FORGOTTEN_NS = 120_000_000_000
"""Nanoseconds after which a process that was not accessed is forgotten."""

Submit = Callable[[Callable[[], None]], None]


@dataclass(slots=True)
class AllowedNodes:
    """What one process may use; `mems` None: any node."""

    mems: Nodes | None = None
    policies: Policies = NO_POLICIES
    known: bool = False
    seen_ns: int = 0
    cpuset_due: int = 0
    policies_due: int = field(default=0)
    wait_ns: int = FIRST_NS
    reading: bool = False


class AllowedPlaces:
    """The rights of processes, by pid: `notice` who was accessed, then ask `of`."""

    def __init__(self, host: Host, clock: Callable[[], int], submit: Submit) -> None:
        """`clock` gives ns; `submit` has something done soon, in another thread or at once."""
        self._host = host
        self._clock = clock
        self._submit = submit
        self._rights: dict[int, AllowedNodes] = {}
        self._swept_ns = 0

    def notice(self, pids: Iterable[int]) -> None:
        """Take in that these were accessed: read what is not known of them, or was long ago."""
        now = self._clock()
        for pid in pids:
            rights = self._rights.setdefault(pid, AllowedNodes())
            rights.seen_ns = now
            if not rights.reading and now >= rights.cpuset_due:
                rights.reading = True
                self._submit(lambda pid=pid, rights=rights: self._read(pid, rights))  # type: ignore[misc]
        if now - self._swept_ns > FORGOTTEN_NS:
            self._swept_ns = now
            self._rights = {
                pid: rights
                for pid, rights in self._rights.items()
                if now - rights.seen_ns <= FORGOTTEN_NS
            }

    def of(self, pid: int) -> AllowedNodes | None:
        """What a process may use; None while that is not known."""
        rights = self._rights.get(pid)
        return rights if rights is not None and rights.known else None

    def forget(self, pid: int) -> None:
        """Forget a process: it executes another program, or is another one."""
        self._rights.pop(pid, None)

    def _read(self, pid: int, rights: AllowedNodes) -> None:
        began = self._clock()
        status = self._host.text_or(f"/proc/{pid}/status")
        rights.mems = mems_of(status)
        if status and began >= rights.policies_due:
            rights.policies = read_policies(self._host, pid)
            took = self._clock() - began
            rights.policies_due = began + max(rights.wait_ns, SHARE * took)
            rights.wait_ns = min(2 * rights.wait_ns, POLICIES_NS)
        rights.cpuset_due = began + CPUSET_NS
        if status:
            rights.cpuset_due = min(rights.cpuset_due, rights.policies_due)
        rights.known = True
        rights.reading = False


class OneByOne:
    """A thread that does one thing after the other; where there is none it is done at once."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Have something done."""
        if self._began():
            self._jobs.put(job)
        else:
            job()

    def _began(self) -> bool:
        """Begin the thread; whether there is one to be had."""
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="pghot nodes", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # slower, and no worse
                return False
            self._thread = thread
        return True

    def close(self) -> None:
        """Do nothing more after what is being done."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
