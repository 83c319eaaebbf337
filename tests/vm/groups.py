"""Control groups of the guest: who is in them, which nodes their memory comes from."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


class Group:
    """A control group with the memory controller, and cpuset where `mems` is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = CGROUPS / name
        (CGROUPS / "cgroup.subtree_control").write_text("+memory +cpuset")
        self.path.mkdir()
        self.inode = self.path.stat().st_ino

    @property
    def inside(self) -> tuple[str, ...]:
        """What runs a command in it, put before the command."""
        return ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh")

    def allow(self, nodes: str) -> None:
        """Let new memory come from these nodes; what lies on an allowed one stays."""
        (self.path / "cpuset.mems").write_text(nodes)


@contextlib.contextmanager
def group(name: str) -> Iterator[Group]:
    """Make a control group, and remove it once its last process has gone."""
    made = Group(name)
    try:
        yield made
    finally:
        end = time.monotonic() + 300
        while made.path.exists():  # its last process may not be reaped yet
            try:
                made.path.rmdir()
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)
