"""What memory a host has: its nodes, how fast they are, which are top tier and why.

Documentation/ABI/stable/sysfs-devices-node and the modules that this one puts together.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pghot.engine.lists import format_list, parse_list
from pghot.engine.pfn_ranges import PfnRange
from pghot.errors import InputError, PghotError
from pghot.linux.doctor.kconfig import read_hz
from pghot.linux.host import Host
from pghot.linux.nodes.hmat import Access, read_access
from pghot.linux.nodes.pfns import node_ranges
from pghot.linux.nodes.tiers import (
    NodeTier,
    check_tiers,
    places_by_cpus,
    places_by_tier,
    places_by_user,
    read_memory_tiers,
)
from pghot.linux.nodes.zoneinfo import ZoneInfo, read_zoneinfo

NODES = "/sys/devices/system/node"
DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"


@dataclass(frozen=True, slots=True)
class NumaNode:
    """An online node.

    `distances` is by node id (10 is local).  `pfns` are its online PFNs, and `zones` its
    populated zones, both in pages of the host's own size.  `memory_tier` is the number of
    the kernel's memory tier, `rank` the place among tiers (0 the fastest); None: in none.
    """

    id: int
    cpus: tuple[int, ...]
    total_bytes: int
    free_bytes: int
    distances: dict[int, int]
    pfns: tuple[PfnRange, ...]
    zones: tuple[ZoneInfo, ...]
    memory_tier: int | None
    rank: int | None
    toptier: bool
    why: str
    access0: Access | None = None
    access1: Access | None = None

    @property
    def has_memory(self) -> bool:
        """Whether the node has memory (N_MEMORY)."""
        return self.total_bytes > 0


@dataclass(frozen=True, slots=True)
class Topology:
    """A host's nodes in id order.

    `page_size` in bytes; `hz` is None where the host does not tell CONFIG_HZ, and `demotion`
    where the kernel cannot demote.  `tiers` is what the user gave, or None.
    """

    nodes: tuple[NumaNode, ...]
    page_size: int
    hz: int | None = None
    demotion: bool | None = None
    tiers: str | None = None

    def node(self, nid: int) -> NumaNode | None:
        """A node by id, or None where it is not online."""
        return next((node for node in self.nodes if node.id == nid), None)

    @property
    def slow(self) -> tuple[int, ...]:
        """Nodes with memory that are not top tier: from here pages are promoted."""
        return tuple(n.id for n in self.nodes if n.has_memory and not n.toptier)

    @property
    def fast(self) -> tuple[int, ...]:
        """Nodes with memory that are top tier: to here pages are promoted."""
        return tuple(n.id for n in self.nodes if n.has_memory and n.toptier)

    @property
    def suggested_tiers(self) -> str | None:
        """What `--tiers` might say where nothing is slow but some nodes have no CPUs.

        Kernels before 6.7 put such nodes into the tier of ordinary memory unless a driver
        knows better.
        """
        without = [n.id for n in self.nodes if n.has_memory and not n.cpus]
        having = [n.id for n in self.nodes if n.has_memory and n.cpus]
        if self.slow or not without or not having:
            return None
        return f"{format_list(having)}/{format_list(without)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, from which `from_dict` makes the same topology."""
        import msgspec  # noqa: PLC0415 - only where it goes to JSON

        plain: dict[str, Any] = msgspec.to_builtins(self, str_keys=True)
        return plain

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Topology:
        """Make a topology from plain values; InputError where they are something else."""
        import msgspec  # noqa: PLC0415 - only where it comes from JSON

        try:
            return msgspec.convert(data, cls, strict=False)
        except msgspec.ValidationError as error:
            raise InputError(f"topology: {error}") from error


def read_topology(host: Host, tiers: str | None = None, *, grown: bool = False) -> Topology:
    """Read the topology of a host; `tiers` is the text of `--tiers`, which overrides the kernel's.

    InputError where `tiers` is wrong, PghotError where the host shows no nodes.  With `grown`
    (a look at a host that may have got memory since) a node that `tiers` leaves out comes
    after its last tier, and a node that it names may have gone.
    """
    matches = (re.fullmatch(r"node(\d+)", name) for name in host.names(NODES))
    ids = sorted(int(match[1]) for match in matches if match)
    if not ids:
        raise PghotError(f"{NODES}: no nodes; this kernel has no NUMA (CONFIG_NUMA)")
    zones = read_zoneinfo(host)
    page_size = host.sysconf("SC_PAGE_SIZE")
    cpus = {nid: parse_list(host.text_or(f"{NODES}/node{nid}/cpulist")) for nid in ids}
    memory = {nid: _meminfo(host, nid) for nid in ids}
    if tiers is not None and not grown:
        known = {*ids, *parse_list(host.text_or(f"{NODES}/possible"))}
        check_tiers(tiers, known, (nid for nid in ids if memory[nid][0]))
    kernel_tiers = read_memory_tiers(host)
    tier_of = {nid: number for number, members in kernel_tiers.items() for nid in members}
    places = _places(tiers, kernel_tiers, {nid for nid in ids if cpus[nid]}, ids)
    nodes = tuple(
        NumaNode(
            id=nid,
            cpus=cpus[nid],
            total_bytes=memory[nid][0],
            free_bytes=memory[nid][1],
            distances=_distances(host, nid, ids),
            pfns=node_ranges(host, nid, zones, page_size),
            zones=tuple(zone for zone in zones if zone.node == nid),
            memory_tier=tier_of.get(nid),
            rank=places[nid].rank,
            toptier=places[nid].toptier,
            why=places[nid].why if memory[nid][0] else f"{places[nid].why}; has no memory",
            access0=read_access(host, nid, 0),
            access1=read_access(host, nid, 1),
        )
        for nid in ids
    )
    return Topology(nodes, page_size, read_hz(host), _demotion(host), tiers)


def _places(
    tiers: str | None,
    kernel_tiers: dict[int, tuple[int, ...]],
    with_cpus: Collection[int],
    ids: list[int],
) -> dict[int, NodeTier]:
    if tiers is not None:
        return places_by_user(tiers, ids)
    if kernel_tiers:
        return places_by_tier(kernel_tiers, with_cpus, ids)
    return places_by_cpus(with_cpus, ids)


def _meminfo(host: Host, nid: int) -> tuple[int, int]:
    """Total and free bytes of a node."""
    text = host.text_or(f"{NODES}/node{nid}/meminfo")
    found = dict(re.findall(r"(MemTotal|MemFree):\s+(\d+) kB", text))
    return int(found.get("MemTotal", 0)) << 10, int(found.get("MemFree", 0)) << 10


def _distances(host: Host, nid: int, ids: list[int]) -> dict[int, int]:
    """The distances to the online nodes, in whose order the kernel lists them."""
    values = host.text_or(f"{NODES}/node{nid}/distance").split()
    return {to: int(value) for to, value in zip(ids, values, strict=False)}


def _demotion(host: Host) -> bool | None:
    text = host.text_or(DEMOTION)
    return text in {"true", "1"} if text else None
