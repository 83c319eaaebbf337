"""How fast a node's memory is, by the firmware's HMAT table.

Documentation/admin-guide/mm/numaperf.rst: access class 0 is the access from the nearest
initiators of any kind, class 1 from the nearest that have CPUs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pghot.linux.host import Host


@dataclass(frozen=True, slots=True)
class Access:
    """One access class of a node: latency in nanoseconds, bandwidth in MB/s.

    `initiators` are the nodes that access it so; a value is None where the kernel has none.
    """

    initiators: tuple[int, ...]
    read_latency: int | None
    write_latency: int | None
    read_bandwidth: int | None
    write_bandwidth: int | None


def read_access(host: Host, node: int, access_class: int) -> Access | None:
    """An access class of a node, or None where the kernel does not give it."""
    place = f"/sys/devices/system/node/node{node}/access{access_class}/initiators"
    if not host.exists(place):
        return None
    matches = (re.fullmatch(r"node(\d+)", name) for name in host.names(place))
    values = {
        name: int(text) if (text := host.text_or(f"{place}/{name}")).isdecimal() else None
        for name in ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
    }
    return Access(tuple(sorted(int(match[1]) for match in matches if match)), **values)
