"""Which CPUs are online, and on which node each is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pghot.engine.lists import MAX_ID
from pghot.errors import PghotError
from pghot.linux.fields import number, read_list
from pghot.linux.host import Host

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ONLINE = "/sys/devices/system/cpu/online"
_NODES = "/sys/devices/system/node"
NO_NODE = -1


def online_cpus(host: Host) -> tuple[int, ...]:
    """The CPUs that are online; just the first where the kernel does not say."""
    return read_list(host, ONLINE) or (0,)


def cpus_of_node(host: Host, node: int) -> tuple[int, ...]:
    """The CPUs of a node: its cpulist, or its cpumap where a tree has no more.

    PghotError, naming the file, where it says something else.
    """
    place = f"{_NODES}/node{node}"
    if host.exists(f"{place}/cpulist"):
        return read_list(host, f"{place}/cpulist")
    words = host.text_or(f"{place}/cpumap").replace(",", "")
    mask = number(f"{place}/cpumap", words, base=16) if words else 0
    if mask >> MAX_ID:
        raise PghotError(f"{place}/cpumap: names CPUs above {MAX_ID}")
    return tuple(cpu for cpu in range(mask.bit_length()) if mask >> cpu & 1)


def cpus_by_node(host: Host) -> dict[int, tuple[int, ...]]:
    """The CPUs of each node, by its id; all on node 0 without NUMA in the kernel."""
    by_node = {
        int(name[4:]): cpus_of_node(host, int(name[4:]))
        for name in host.names(_NODES)
        if name.startswith("node") and name[4:].isdecimal()
    }
    return by_node or {0: online_cpus(host)}


def nodes_of_cpus(host: Host) -> npt.NDArray[np.int16]:
    """The node of each CPU, by its number; -1 for those on none that is known."""
    import numpy as np  # noqa: PLC0415 - pghot topology and doctor do without

    by_node = cpus_by_node(host)
    last = max((cpu for cpus in by_node.values() for cpu in cpus), default=0)
    nodes = np.full(last + 1, NO_NODE, np.int16)
    for node, cpus in by_node.items():
        nodes[list(cpus)] = node
    return nodes
