"""Control groups: where the memory controller's tree is, who is in a group, and its inode.

Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.  Version 2 where its tree has the
memory controller, else version 1's memory tree, else version 2 for its processes alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from pghot.errors import InputError
from pghot.linux.host import Host

Tell = Callable[[str], None]

MOUNT = "/sys/fs/cgroup"
V1_MEMORY = f"{MOUNT}/memory"
HYBRID = f"{MOUNT}/unified"

OUTSIDE = "has processes outside of this pid namespace"

MOST = 1 << 14
"""Control groups that are looked at, at the most."""


def cgroup_root(host: Host) -> str:
    """The directory below which groups are named; InputError where none is mounted."""
    if "memory" in host.text_or(f"{MOUNT}/cgroup.controllers").split():
        return MOUNT
    for root in (V1_MEMORY, MOUNT, HYBRID):
        if host.exists(f"{root}/cgroup.procs"):
            return root
    raise InputError(f"{MOUNT}: no control groups are mounted there")


def find_cgroup(host: Host, name: str) -> str:
    """The directory of a group by its path below the root, a leading slash optional.

    The whole path below /sys/fs/cgroup is taken too.  InputError where there is no such
    group.
    """
    root = cgroup_root(host)
    for prefix in (root, MOUNT):
        if name == prefix or name.startswith(f"{prefix}/"):
            name = name[len(prefix) :]
            break
    parts = PurePosixPath(name.lstrip("/")).parts
    directory = "/".join([root, *parts])
    if ".." in parts or not host.exists(f"{directory}/cgroup.procs"):
        raise InputError(f"-G {name}: no such control group below {root}")
    return directory


def cgroup_pids(host: Host, directory: str, tell: Tell = lambda _: None) -> list[int]:
    """The processes of a group and of all below it; none once it has been removed.

    `tell` is told where there are some that have no pid in this pid namespace.
    """
    pids: set[int] = set()
    for group in groups_below(host, directory, tell):
        # A threaded group refuses this file; its domain lists the processes.
        words = host.text_or(f"{group}/cgroup.procs").split()
        pids.update(int(word) for word in words if word.isdigit())
    if 0 in pids:  # what the kernel shows of a process outside of our pid namespace
        pids.discard(0)
        tell(f"{directory}: {OUTSIDE}, which are not watched")
    return sorted(pids)


def cgroup_inodes(host: Host, tell: Tell = lambda _: None) -> dict[int, str]:
    """The path below the root of every group by the inode number of its directory.

    The numbers of /proc/kpagecgroup.
    """
    root = cgroup_root(host)
    inodes = {}
    for group in groups_below(host, root, tell):
        try:
            inode = host.path(group).stat().st_ino
        except OSError:  # removed meanwhile
            continue
        inodes[inode] = group[len(root) :] or "/"
    return inodes


def groups_below(host: Host, directory: str, tell: Tell) -> Iterator[str]:
    """A group and all below it, the first `MOST`; `tell` is told where there are more.

    Whoever a group is delegated to makes as many as he likes, one below another.
    """
    waiting = [directory]
    given = 0
    while waiting:
        if given == MOST:
            tell(f"{directory}: over {MOST:,} control groups; those beyond are not looked at")
            return
        group = waiting.pop()
        given += 1
        yield group
        try:
            with os.scandir(host.path(group)) as entries:
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # removed meanwhile, or too deep for a path
            continue
        waiting += [f"{group}/{name}" for name in sorted(below, reverse=True)]


def memcg_of(host: Host, pid: int) -> int:
    """Inode number of the memory control group that a process is in; 0 where nobody can say."""
    try:
        root = cgroup_root(host)
        controller = "memory" if root == V1_MEMORY else ""
        for line in host.text(f"/proc/{pid}/cgroup").splitlines():
            _number, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return host.path(f"{root}{path}").stat().st_ino
    except (InputError, OSError, ValueError):
        pass
    return 0
