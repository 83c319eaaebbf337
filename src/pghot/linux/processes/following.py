"""Targets that are looked for beside a run: who has come and who has gone, a little at a time.

A look lists the processes there are and reads those alone that are new, and some of the old
ones in turn: whether they are the same, and what CPU time they have used.  What perf tells of
forks and exits in between goes to the targets themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from pghot.linux.processes.cgroups import cgroup_pids
from pghot.linux.processes.procstat import Stat, read_stat
from pghot.linux.processes.targets import UNREAD, Cgroup, Targets

IN_TURN = 256
"""Targets that a look reads again; all of them where there are no more."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a look found: starttimes by pid, and the CPU time that targets have used so far.

    `cpu_ticks` counts that of targets that have ended since as well; None where it is not kept.
    """

    came: dict[int, int] = field(default_factory=dict)
    gone: dict[int, int] = field(default_factory=dict)
    cpu_ticks: int | None = None


class ProcessLook(Protocol):
    """Somebody who looks for targets, in any one thread."""

    def look(self) -> Change:
        """Look once."""


class NoLook:
    """Where every process is a target, nobody need be looked for."""

    def look(self) -> Change:
        """Nothing."""
        return Change()


class _InTurn:
    """Reads targets again, some a look: `gone` are those that are not what they were."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._waiting: list[int] = []
        self._ticks: dict[int, tuple[int, int]] = {}
        self.cpu_ticks = 0

    def gone(self, members: dict[int, int], *, all_: bool = False) -> dict[int, int]:
        """Read some of `members`, or all."""
        gone = {}
        for pid in self._next(members, len(members) if all_ else IN_TURN):
            stat = read_stat(self._targets.host, pid)
            if stat is None or not stat.lives or members[pid] not in (UNREAD, stat.starttime):
                gone[pid] = members[pid]
                self._ticks.pop(pid, None)
            else:
                self._count(stat)
        return gone

    def _next(self, members: dict[int, int], most: int) -> Iterable[int]:
        if len(self._ticks) > 2 * len(members) + IN_TURN:  # most of them have ended
            self._ticks = {pid: self._ticks[pid] for pid in members.keys() & self._ticks.keys()}
        if len(members) <= most:
            return list(members)
        if not self._waiting:
            self._waiting = list(members)
        turn, self._waiting = self._waiting[:most], self._waiting[most:]
        return [pid for pid in turn if pid in members]

    def _count(self, stat: Stat) -> None:
        starttime, ticks = self._ticks.get(stat.pid, (stat.starttime, 0))
        before = ticks if starttime == stat.starttime else 0
        self.cpu_ticks += stat.cpu_ticks - before
        self._ticks[stat.pid] = (stat.starttime, stat.cpu_ticks)


class FamilyLook:
    """Looks for the children of processes that were named, by their parents."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._in_turn = _InTurn(targets)
        self._known: set[int] | None = None

    def look(self) -> Change:
        """Look once; the first look reads every process there is."""
        members = dict(self._targets.members)  # first: who is told of from now on is not listed
        there = self._targets.host.pids()
        first = self._known is None
        gone = {pid: starttime for pid, starttime in members.items() if pid not in there}
        left = {pid: starttime for pid, starttime in members.items() if pid in there}
        gone |= self._in_turn.gone(left, all_=first)
        came = self._children(there - (self._known or set()) - members.keys(), members.keys())
        self._known = there
        return Change(came, gone, self._in_turn.cpu_ticks)

    def _children(self, pids: set[int], parents: Iterable[int]) -> dict[int, int]:
        """Those of `pids` that descend from `parents`."""
        below: dict[int, list[Stat]] = {}
        for pid in pids:
            stat = read_stat(self._targets.host, pid)
            if stat is not None:
                below.setdefault(stat.ppid, []).append(stat)
        family = [stat for parent in below.keys() & set(parents) for stat in below[parent]]
        for stat in family:  # grows while it is walked
            family += below.pop(stat.pid, [])
        return {stat.pid: stat.starttime for stat in family if stat.lives}


class CgroupLook:
    """Looks who is in a control group and below it now; `tell` takes what a person should know."""

    def __init__(self, targets: Cgroup, tell: Callable[[str], None]) -> None:
        self._targets = targets
        self._tell = tell
        self._in_turn = _InTurn(targets)

    def look(self) -> Change:
        """Look once."""
        targets = self._targets
        members = dict(targets.members)
        there = set(cgroup_pids(targets.host, targets.directory, self._tell))
        gone = {pid: starttime for pid, starttime in members.items() if pid not in there}
        left = {pid: starttime for pid, starttime in members.items() if pid in there}
        gone |= self._in_turn.gone(left)
        stats = (read_stat(targets.host, pid) for pid in there - members.keys())
        came = {stat.pid: stat.starttime for stat in stats if stat is not None and stat.lives}
        return Change(came, gone)  # the group counts its CPU time itself


def look_for(targets: Targets, tell: Callable[[str], None]) -> ProcessLook:
    """What looks for these targets."""
    if targets.everything:
        return NoLook()
    return CgroupLook(targets, tell) if isinstance(targets, Cgroup) else FamilyLook(targets)
