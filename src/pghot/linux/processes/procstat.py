"""/proc/PID/stat: who a process is, proc_pid_stat(5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pghot.linux.host import Host

PF_KTHREAD = 0x00200000
"""include/linux/sched.h; in every kernel since 2.6.26."""


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields that are used; `starttime` in clock ticks since boot, `cpu_ticks` used.

    (pid, starttime) names one process for as long as the machine is up: a pid comes again,
    the pair does not.
    """

    pid: int
    comm: str
    state: str
    ppid: int
    flags: int
    num_threads: int
    starttime: int
    cpu_ticks: int = 0

    @property
    def kernel_thread(self) -> bool:
        """Whether it is the kernel's own and has no memory."""
        return bool(self.flags & PF_KTHREAD)

    @property
    def lives(self) -> bool:
        """Whether it still has memory: not a zombie, or one whose other threads go on."""
        return self.state not in "ZXx" or self.num_threads > 1


def parse_stat(line: str) -> Stat:
    """Parse the line; the command name may hold spaces, parentheses and line ends.

    ValueError where it is no such line.
    """
    start, end = line.find("("), line.rfind(")")
    fields = line[end + 1 :].split()  # field 3 of the man page is fields[0]
    if not 0 < start < end or len(fields) < 20:
        raise ValueError(f"not a line of /proc/PID/stat: {line!r}")
    return Stat(
        pid=int(line[:start]),
        comm=line[start + 1 : end],
        state=fields[0],
        ppid=int(fields[1]),
        flags=int(fields[6]),
        num_threads=int(fields[17]),
        starttime=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
    )


def read_stat(host: Host, pid: int) -> Stat | None:
    """Read one process; None where there is none."""
    try:
        return parse_stat(host.text(f"/proc/{pid}/stat"))
    except (OSError, ValueError):  # gone, or going while it was read
        return None


def all_stats(host: Host) -> Iterator[Stat]:
    """Read every process of the host, threads left out; those that vanish meanwhile too."""
    for name in host.names("/proc"):
        if name.isascii() and name.isdigit():
            stat = read_stat(host, int(name))
            if stat is not None:
                yield stat
