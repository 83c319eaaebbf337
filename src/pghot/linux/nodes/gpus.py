"""Memory of GPUs that the kernel shows as NUMA nodes: nobody's pages are promoted from or to it.

NVIDIA's driver tells the node of each GPU in /proc/driver/nvidia/gpus/*/numa_status.
"""

from __future__ import annotations

import re

from pghot.linux.fields import number
from pghot.linux.host import Host

GPUS = "/proc/driver/nvidia/gpus"
_NODE = re.compile(r"^\s*node\s*:\s*(\S+)\s*$", re.ASCII | re.IGNORECASE | re.MULTILINE)


def gpu_nodes(host: Host) -> dict[int, str]:
    """The GPU of each node that is a GPU's memory; PghotError where a file tells no node."""
    found = {}
    for gpu in host.names(GPUS):
        name = f"{GPUS}/{gpu}/numa_status"
        match = _NODE.search(host.text_or(name))
        if match and match[1] != "-1":  # a GPU whose memory is no node
            found[number(f"{name}: Node", match[1])] = gpu
    return found
