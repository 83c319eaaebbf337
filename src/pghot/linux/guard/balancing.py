"""Which mode of NUMA balancing a run sets."""

from __future__ import annotations

from pghot.linux.guard.settings import BOTH, NUMA_BALANCING, TIERING
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import cpus_by_node

_NORMAL = 1
"""NUMA_BALANCING_NORMAL (include/linux/sched/sysctl.h)."""


def balancing_mode(host: Host) -> str:
    """Tiering; beside balancing between sockets where that is on and there are several.

    With one node that has CPUs, balancing finds no page a better place: its faults on fast
    memory would cost and bring nothing.
    """
    now = host.text_or(NUMA_BALANCING)
    between_sockets = now.isdecimal() and int(now) & _NORMAL
    sockets = sum(1 for cpus in cpus_by_node(host).values() if cpus)
    return BOTH if between_sockets and sockets > 1 else TIERING
