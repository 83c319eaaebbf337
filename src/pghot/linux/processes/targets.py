"""The processes that are pointed at: -p PID,... | -a | -G CGROUP | -- COMMAND.

A process is known by (pid, starttime), so that a pid that comes again is not ours.  Samples
carry the pid that all threads of a process share, so threads need no list.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.processes.cgroups import OUTSIDE, cgroup_pids, find_cgroup
from pghot.linux.processes.namespaces import known_elsewhere_as, own_pids_note
from pghot.linux.processes.pid_set import PidSet
from pghot.linux.processes.procstat import Stat, all_stats, read_stat

if TYPE_CHECKING:
    from pghot.engine.memory import BoolArray

UNREAD = -1
"""The starttime of a target that nobody has asked for yet; no process has it."""

READ_AT_ONCE = 64
"""Targets whose CPU time is read when it is asked for: some 20 us each."""

MEMORYLESS = "is a kernel thread and has no memory of its own"


def parse_pids(text: str) -> list[int]:
    """Parse the PID[,PID...] of -p; InputError where it is not that."""
    pids = []
    for word in map(str.strip, text.split(",")):
        if not (word.isascii() and word.isdigit() and int(word) > 0):
            raise InputError(f"-p {text}: wants process ids, as in -p 4711,4712")
        pids.append(int(word))
    return list(dict.fromkeys(pids))


class Targets(ABC):
    """Which processes are watched.  `resolve` first; then `refresh` now and then.

    Between refreshes `forked`, `exited` and `executed` take in what perf tells; each says
    whether the process it is about is a target.  They read no file of a process that was
    followed from its fork on.  `changed` takes in what was found beside (`following`).
    """

    def __init__(self) -> None:
        self._host = Host()
        self._members: dict[int, int] = {}
        self._threads: dict[int, int] = {}
        """Threads of those that were followed from their fork on."""
        self._pids = PidSet()
        self._cpu_ticks: int | None = None
        self._ticks: dict[int, int] = {}
        self._used_ticks = 0
        self.notes: list[str] = []
        """What a person should know of the last look, a line each."""

    @property
    def everything(self) -> bool:
        """Whether every process is a target, so that members are not listed."""
        return False

    @property
    def members(self) -> Mapping[int, int]:
        """The starttime of each target by its pid, as of the last refresh or event.

        UNREAD where it was not asked for since the process was forked.
        """
        return self._members

    @property
    def host(self) -> Host:
        """Where the processes are."""
        return self._host

    def resolve(self, host: Host) -> None:
        """Find the targets on a host; InputError where what was named is not there."""
        self._host = host
        self._resolve()

    def refresh(self) -> None:
        """Look again: who has come, who has gone."""
        self._set({stat.pid: stat.starttime for stat in self._look() if stat.lives})

    def contains(self, pids: npt.NDArray[np.integer]) -> BoolArray:
        """Which of these pids are targets."""
        return self._pids.contains(pids)

    def alive(self) -> bool:
        """Whether there is still something to watch, as of the last refresh or event."""
        return bool(self._members)

    def cpu_ns(self) -> int:
        """CPU time that those who are targets now have used since they started.

        That of ended ones stays in it.  Of more than READ_AT_ONCE it is as of the last look
        beside: one takes part of the time only, so it may be long ago on a busy machine.
        """
        if self._cpu_ticks is not None and len(self._members) > READ_AT_ONCE:
            return self._cpu_ticks * self._tick_ns
        stats = [read_stat(self._host, pid) for pid in list(self._members)]
        ticks = {stat.pid: stat.cpu_ticks for stat in stats if stat is not None}
        self._used_ticks += sum(
            max(used - self._ticks.get(pid, 0), 0) for pid, used in ticks.items()
        )
        self._ticks = ticks
        return self._used_ticks * self._tick_ns

    @property
    def _tick_ns(self) -> int:
        return 1_000_000_000 // self._host.sysconf("SC_CLK_TCK")

    def starttime(self, pid: int) -> int:
        """The starttime of a target, UNREAD where it has gone; 0 of any other."""
        found = self._members.get(pid, 0)
        if found == UNREAD:
            stat = read_stat(self._host, pid)
            if stat is not None and stat.lives:
                found = self._members[pid] = stat.starttime
        return found

    def forked(self, parent: int, child: int) -> bool:
        """Take in that a process was made, or a thread (its process has two names then).

        One that has ended meanwhile is a target until its exit is told: it has samples.
        """
        if parent not in self._members or child < 1:  # 0, -1: perf knows no name for it here
            return False
        if parent == child:
            if child in self._threads:
                self._threads[child] += 1
            return False
        self._pids.add(child)
        self._members[child] = UNREAD
        self._threads[child] = 1
        return True

    def exited(self, pid: int, threads: int = 1) -> bool:
        """Take in that so many threads of a process have exited, all of them perhaps."""
        if pid not in self._members:
            return False
        if pid in self._threads:
            self._threads[pid] -= threads
            if self._threads[pid] <= 0:
                self._drop(pid)
            return True
        stat = read_stat(self._host, pid)
        was = self._members[pid]
        if stat is None or not stat.lives or was not in (UNREAD, stat.starttime):
            self._drop(pid)
        return True

    def lost(self) -> None:
        """Take in that forks or exits may have been lost: no thread is counted any more."""
        self._threads.clear()

    def changed(
        self, came: Mapping[int, int], gone: Mapping[int, int], cpu_ticks: int | None
    ) -> None:
        """Take in what was found beside: starttimes by pid, and the CPU time until then.

        Of those who are gone, one that is another process by now stays.
        """
        for pid, starttime in gone.items():
            if self._members.get(pid) == starttime:
                self._drop(pid)
        for pid, starttime in came.items():
            if pid not in self._members:
                self._members[pid] = starttime
                self._pids.add(pid)
        self._cpu_ticks = cpu_ticks

    def executed(self, pid: int) -> bool:
        """Take in that a process runs another program: the same process, all memory new."""
        return pid in self._members

    @abstractmethod
    def _resolve(self) -> None:
        """Check what was named and find the first members."""

    @abstractmethod
    def _look(self) -> Sequence[Stat]:
        """The members of now, dead ones too."""

    def _set(self, members: dict[int, int]) -> None:
        if members == self._members:
            return
        for pid in self._members.keys() - members.keys():
            self._pids.discard(pid)
        for pid in members.keys() - self._members.keys():
            self._pids.add(pid)
        # A pid that is another process by now has threads that nobody counted.
        same = {pid for pid, starttime in members.items() if self._same(pid, starttime)}
        self._threads = {pid: n for pid, n in self._threads.items() if pid in same}
        self._members = members

    def _same(self, pid: int, starttime: int) -> bool:
        return self._members.get(pid) in (UNREAD, starttime)

    def _drop(self, pid: int) -> None:
        del self._members[pid]
        self._threads.pop(pid, None)
        self._pids.discard(pid)


class Pids(Targets):
    """Processes by their ids, and the children they fork.

    Children are found by their parent (PPid); one whose parent has gone before the next
    refresh is known only where `forked` told of it.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        super().__init__()
        self._named = pids

    def add(self, pid: int) -> None:
        """Take in one more; InputError where there is no such process."""
        self._set({**self._members, pid: named_process(self._host, pid).starttime})

    def _resolve(self) -> None:
        self._set({pid: named_process(self._host, pid).starttime for pid in self._named})
        self.refresh()

    def _look(self) -> list[Stat]:
        stats = {stat.pid: stat for stat in all_stats(self._host)}
        ours = [
            stats[pid]
            for pid, starttime in self._members.items()
            if pid in stats and starttime in (UNREAD, stats[pid].starttime)
        ]
        children: dict[int, list[Stat]] = {}
        for stat in stats.values():
            children.setdefault(stat.ppid, []).append(stat)
        found = {stat.pid: stat for stat in ours}
        for stat in ours:  # grows while it is walked
            for child in children.get(stat.pid, []):
                if child.pid not in found:
                    found[child.pid] = child
                    ours.append(child)
        return ours


class Cgroup(Targets):
    """The processes of a control group and of all below it; alive as long as the group is."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self.directory = ""
        self._all_outside = False

    def alive(self) -> bool:
        """Whether the group is still there."""
        return self._host.exists(f"{self.directory}/cgroup.procs")

    def _resolve(self) -> None:
        self.directory = find_cgroup(self._host, self._name)
        self.refresh()
        if self._all_outside:
            raise InputError(
                f"-G {self._name}: {OUTSIDE} and none in it: run pghot in theirs "
                "(--pid=host of a container)"
            )

    def cpu_ns(self) -> int:
        """CPU time of the group, of what has ended in it too (cgroup v2's cpu.stat)."""
        for line in self._host.text_or(f"{self.directory}/cpu.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "usage_usec":
                return int(value) * 1000
        return super().cpu_ns()

    def _look(self) -> list[Stat]:
        self.notes = []
        pids = cgroup_pids(self._host, self.directory, self.notes.append)
        self._all_outside = not pids and any(OUTSIDE in note for note in self.notes)
        stats = (read_stat(self._host, pid) for pid in pids)
        return [stat for stat in stats if stat is not None]


class Everything(Targets):
    """Every process of the host."""

    @property
    def everything(self) -> bool:
        """Whether every process is a target: yes."""
        return True

    def refresh(self) -> None:
        """Nothing to look for."""

    def contains(self, pids: npt.NDArray[np.integer]) -> BoolArray:
        """Which are processes: every one but the idle task (0) and perf's unknown (-1)."""
        return np.asarray(pids, np.int64) > 0

    def cpu_ns(self) -> int:
        """CPU time that all CPUs were busy, kernel and user (/proc/stat)."""
        fields = self._host.text_or("/proc/stat").split()
        user, nice, system = map(int, fields[1:4]) if len(fields) > 3 else (0, 0, 0)
        return (user + nice + system) * self._tick_ns

    def alive(self) -> bool:
        """Whether there is something to watch: always."""
        return True

    def forked(self, parent: int, child: int) -> bool:
        """Take in that a process was made."""
        return parent != child

    def exited(self, pid: int, threads: int = 1) -> bool:  # noqa: ARG002
        """Take in that a process has exited."""
        return pid > 0

    def executed(self, pid: int) -> bool:
        """Take in that a process runs another program."""
        return pid > 0

    def _resolve(self) -> None:
        note = own_pids_note(self._host)
        self.notes = [note] if note else []

    def _look(self) -> list[Stat]:
        return []


def named_process(host: Host, pid: int) -> Stat:
    """The process that a person named by its id; InputError where it is none to watch."""
    stat = read_stat(host, pid)
    if stat is None:
        raise InputError(f"-p {pid}: no such process{known_elsewhere_as(host, pid)}")
    leader = _thread_group(host, pid)
    if leader != pid:
        raise InputError(f"-p {pid}: a thread of process {leader}; give -p {leader}")
    if stat.kernel_thread:
        elsewhere = known_elsewhere_as(host, pid)
        raise InputError(f"-p {pid}: {stat.comm} {MEMORYLESS}{elsewhere}")
    if not stat.lives:
        raise InputError(f"-p {pid}: {stat.comm} has exited already")
    return stat


def _thread_group(host: Host, pid: int) -> int:
    for line in host.text_or(f"/proc/{pid}/status").splitlines():
        name, _, value = line.partition(":")
        if name == "Tgid":
            return int(value)
    return pid
