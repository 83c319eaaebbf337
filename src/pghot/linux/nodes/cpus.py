"""Which CPUs are online, and on which node each is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.lists import parse_list
from pghot.linux.host import Host

ONLINE = "/sys/devices/system/cpu/online"
_NODES = "/sys/devices/system/node"
NO_NODE = -1


def online_cpus(host: Host) -> tuple[int, ...]:
    """The CPUs that are online; just the first where the kernel does not say."""
    return parse_list(host.text_or(ONLINE)) or (0,)


def nodes_of_cpus(host: Host) -> npt.NDArray[np.int16]:
    """The node of each CPU, by its number; -1 for those on none that is known.

    Without NUMA in the kernel, sysfs has no nodes: all CPUs are then on node 0.
    """
    by_node = {
        int(name[4:]): parse_list(host.text_or(f"{_NODES}/{name}/cpulist"))
        for name in host.names(_NODES)
        if name.startswith("node") and name[4:].isdecimal()
    }
    if not by_node:
        by_node = {0: online_cpus(host)}
    last = max((cpu for cpus in by_node.values() for cpu in cpus), default=0)
    nodes = np.full(last + 1, NO_NODE, np.int16)
    for node, cpus in by_node.items():
        nodes[list(cpus)] = node
    return nodes
