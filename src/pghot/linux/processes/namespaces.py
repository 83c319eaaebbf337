"""Namespaces: whether the host's files and its system calls mean the same processes and times.

A perf event gives pids as the pid namespace of whoever opened it has them, 0 for processes
outside (perf_event_pid() of kernel/events/core.c); move_pages looks a pid up in the caller's.
/proc has those of the namespace that it was mounted in (pid_namespaces(7)).  NUMA balancing is
the whole host's, whatever the namespace.
"""

from __future__ import annotations

import re

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.processes.procstat import all_stats

_FIRST = {"pid": 0xEFFFFFFC, "user": 0xEFFFFFFD, "time": 0xEFFFFFFA}
"""Inodes of the namespaces that the kernel starts with: include/uapi/linux/nsfs.h."""

MOST_NAMED = 3
"""Processes that an error names, at the most."""


def check_namespaces(host: Host) -> None:
    """Refuse where rights do not count, or pids or times would be taken for others.

    PghotError, one line.
    """
    if not in_first(host, "user"):
        raise PghotError(
            "/proc/self/ns/user: a user namespace, whose root sees no PFNs and sets no NUMA "
            "balancing: run outside of it (a container: not rootless, no user namespace)"
        )
    ours = _inner(host, "self")
    if not ours and host.exists("/proc/1/stat") and not host.exists("/proc/self"):
        raise PghotError(
            "/proc/self: leads nowhere, so /proc is of another pid namespace: mount one of "
            "this namespace (mount -t proc proc /proc)"
        )
    if len(ours) > 1:
        raise PghotError(
            f"/proc is of another pid namespace: pghot is {ours[0]} there and {ours[-1]} here; "
            "mount one of this namespace (mount -t proc proc /proc), or run in the host's "
            "(--pid=host of a container)"
        )
    if shifted := _shift(host):
        raise PghotError(
            f"/proc/self/timens_offsets: CLOCK_MONOTONIC is {shifted} from the host's, by which "
            "perf gives times: run outside of this time namespace"
        )


def in_first(host: Host, kind: str) -> bool:
    """Whether we are in the namespace that the kernel starts with; so where it does not tell."""
    found = re.fullmatch(rf"{kind}:\[(\d+)\]", host.link_or(f"/proc/self/ns/{kind}"))
    return found is None or int(found[1]) == _FIRST[kind]


def own_pids_note(host: Host) -> str:
    """What a person should know of a pid namespace of our own; empty in the host's."""
    if in_first(host, "pid"):
        return ""
    return (
        "in a pid namespace of its own: processes outside of it are not watched, though NUMA "
        "balancing is the whole host's (--pid=host of a container)"
    )


def known_elsewhere_as(host: Host, pid: int) -> str:
    """Which processes have this pid in a pid namespace below ours: `; ...` or nothing.

    For an error about a pid that is none of ours, or not what was meant.
    """
    found = []
    for stat in all_stats(host):
        inner = _inner(host, stat.pid)
        if stat.lives and len(inner) > 1 and pid in inner[1:]:
            found.append(f"{stat.pid} ({stat.comm})")
    if not found:
        return ""
    more = ", ..." if len(found) > MOST_NAMED else ""
    names = ", ".join(found[:MOST_NAMED])
    return f"; in another pid namespace {pid} is what is {names}{more} here"


def _inner(host: Host, pid: int | str) -> list[int]:
    """A process's pid in /proc's namespace and in each below that, to its own (NSpid)."""
    for line in host.text_or(f"/proc/{pid}/status").splitlines():
        name, _, value = line.partition(":")
        if name == "NSpid":
            return [int(word) for word in value.split() if word.isdigit()]
    return []


def _shift(host: Host) -> str:
    """How far our CLOCK_MONOTONIC is from the kernel's own; empty where it is not."""
    if in_first(host, "time"):
        return ""
    for line in host.text_or("/proc/self/timens_offsets").splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0] in {"monotonic", "1"} and fields[1:] != ["0", "0"]:
            return f"{fields[1]} s and {fields[2]} ns"
    return ""
