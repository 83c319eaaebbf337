"""How fast a node's memory is, by the firmware's HMAT table.

Documentation/admin-guide/mm/numaperf.rst: access class 0 is the access from the nearest
initiators of any kind, class 1 from the nearest that have CPUs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pghot.linux.fields import read_number
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

    @property
    def latency(self) -> int | None:
        """Nanoseconds of a read, or of a write where only that is told."""
        return self.read_latency or self.write_latency

    @property
    def bandwidth(self) -> int | None:
        """MB/s of reading, or of writing where only that is told."""
        return self.read_bandwidth or self.write_bandwidth

    def __str__(self) -> str:
        """`400 ns, 20,480 MB/s`, or what of it is told."""
        latency = f"{self.latency:,} ns" if self.latency else ""
        bandwidth = f"{self.bandwidth:,} MB/s" if self.bandwidth else ""
        return ", ".join(filter(None, (latency, bandwidth)))


def read_access(host: Host, node: int, access_class: int) -> Access | None:
    """An access class of a node, or None where the kernel does not give it.

    PghotError where a figure is no number.
    """
    place = f"/sys/devices/system/node/node{node}/access{access_class}/initiators"
    if not host.exists(place):
        return None
    matches = (re.fullmatch(r"node([0-9]{1,9})", name) for name in host.names(place))
    values = {
        name: read_number(host, f"{place}/{name}", 0) or None  # 0: the firmware has no figure
        for name in ("read_latency", "write_latency", "read_bandwidth", "write_bandwidth")
    }
    return Access(tuple(sorted(int(match[1]) for match in matches if match)), **values)


ADISTANCE_DRAM, TIER_SHIFT = 576, 7
"""The abstract distance of ordinary memory, and how a tier's number is made of one
(MEMTIER_ADISTANCE_DRAM, MEMTIER_CHUNK_BITS of include/linux/memory-tiers.h)."""


def tier_beside(access: Access, reference: Access) -> int | None:
    """The number of the tier that a node's figures put it in, where `reference` is DRAM.

    As mt_perf_to_adistance() of mm/memory-tiers.c: the longer the latency and the smaller the
    bandwidth, the higher.  What only one of the two tells does not count; None where nothing
    is left.
    """
    pairs = (
        (access.latency, reference.latency),
        (reference.bandwidth, access.bandwidth),
    )
    known = [(over, under) for over, under in pairs if over and under]
    if not known:
        return None
    distance = ADISTANCE_DRAM
    for over, under in known:
        distance = distance * over // under
    return distance >> TIER_SHIFT
