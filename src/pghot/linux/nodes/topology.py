"""What memory a host has: its nodes, how fast they are, which are top tier and why.

Documentation/ABI/stable/sysfs-devices-node and the modules that this one puts together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pghot.engine.lists import format_list
from pghot.engine.pfn_ranges import PfnRange
from pghot.engine.units import NID_MAX
from pghot.errors import InputError, PghotError
from pghot.linux.doctor.kconfig import read_hz
from pghot.linux.fields import number, read_list
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import cpus_of_node
from pghot.linux.nodes.gpus import gpu_nodes
from pghot.linux.nodes.hmat import Access, read_access, tier_beside
from pghot.linux.nodes.pfns import Blocks, node_blocks, node_ranges
from pghot.linux.nodes.tier_rule import DRAM_TIER, TierFacts, place_nodes
from pghot.linux.nodes.tiers import check_tiers, read_memory_tiers
from pghot.linux.nodes.zoneinfo import ZoneInfo, read_zoneinfo

NODES = "/sys/devices/system/node"
DEMOTION = "/sys/kernel/mm/numa/demotion_enabled"


@dataclass(frozen=True, slots=True)
class NumaNode:
    """An online node.

    `distances` is by node id (10 is local).  `pfns` are its online PFNs, and `zones` its
    populated zones, both in pages of the host's own size.  `memory_tier` is the number of
    the kernel's memory tier, `rank` the place among tiers (0 the fastest); None: in none.
    `offline` are the numbers of its memory blocks that are not online.  What is `left_out`,
    memory of a GPU, is not promoted from, nor to.
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
    offline: tuple[int, ...] = ()
    left_out: bool = False

    @property
    def has_memory(self) -> bool:
        """Whether the node has memory (N_MEMORY)."""
        return self.total_bytes > 0

    @property
    def serves(self) -> bool:
        """Whether it has memory of a tier."""
        return self.has_memory and not self.left_out

    @property
    def access(self) -> Access | None:
        """How fast its nearest CPUs access it, or any initiator where that is not told."""
        return self.access1 or self.access0


@dataclass(frozen=True, slots=True)
class Topology:
    """A host's nodes in id order.

    `page_size` in bytes; `hz` is None where the host does not tell CONFIG_HZ, and `demotion`
    where the kernel cannot demote.  `tiers` is what the user gave, or None.  `contradictions`
    are what the kernel and the firmware do not agree on, a line each.
    """

    nodes: tuple[NumaNode, ...]
    page_size: int
    hz: int | None = None
    demotion: bool | None = None
    tiers: str | None = None
    contradictions: tuple[str, ...] = ()

    def node(self, nid: int) -> NumaNode | None:
        """A node by id, or None where it is not online."""
        return next((node for node in self.nodes if node.id == nid), None)

    @property
    def slow(self) -> tuple[int, ...]:
        """Nodes with memory that are not top tier: from here pages are promoted."""
        return tuple(n.id for n in self.nodes if n.serves and not n.toptier)

    @property
    def fast(self) -> tuple[int, ...]:
        """Nodes with memory that are top tier: to here pages are promoted."""
        return tuple(n.id for n in self.nodes if n.serves and n.toptier)

    @property
    def kernel_slow(self) -> tuple[int, ...]:
        """Nodes with memory that the kernel has below its top tier: there it takes hint faults.

        node_is_toptier() of mm/memory-tiers.c: what is in no tier is top; where no tier has
        CPUs, none of them is.
        """
        with_memory = [n for n in self.nodes if n.has_memory]
        tiers = [n.memory_tier for n in with_memory if n.memory_tier is not None]
        if not tiers:
            return tuple(n.id for n in with_memory if not n.cpus)
        last_top = max((n.memory_tier or 0 for n in with_memory if n.cpus), default=-1)
        return tuple(n.id for n in with_memory if (n.memory_tier or -1) > last_top)

    @property
    def suggested_tiers(self) -> str | None:
        """What `--tiers` might say where nothing is slow but some nodes have no CPUs.

        Kernels before 6.7 put such nodes into the tier of ordinary memory unless a driver
        knows better.  Those that are as fast by HMAT stay with the fast ones.
        """
        having = [n.id for n in self.nodes if n.serves and n.cpus]
        without = [n.id for n in self.nodes if n.serves and not n.cpus and not self._is_fast(n)]
        if self.slow or not without or not having:
            return None
        return f"{format_list({*self.fast} - {*without})}/{format_list(without)}"

    def _is_fast(self, node: NumaNode) -> bool:
        """Whether a node without CPUs is as fast as some that has them, by HMAT."""
        return any(
            (tier := tier_beside(node.access, other.access)) is not None and tier <= DRAM_TIER
            for other in self.nodes
            if other.cpus and other.access and node.access
        )

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


def read_topology(
    host: Host,
    tiers: str | None = None,
    *,
    grown: bool = False,
    blocks_of: Callable[[Host, int, Iterable[ZoneInfo], int], Blocks | None] | None = None,
) -> Topology:
    """Read the topology of a host; `tiers` is the text of `--tiers`, which overrides the kernel's.

    InputError where `tiers` is wrong, PghotError where the host shows no nodes, or where a
    file says what it cannot: one line with the file and the field.  With `grown`
    (a look at a host that may have got memory since) a node that `tiers` leaves out comes
    after its last tier, and a node that it names may have gone.
    `blocks_of` finds a node's memory blocks: `MemoryBlocks.of` keeps them from look to look.
    """
    ids = _node_ids(host)
    zones = read_zoneinfo(host)
    page_size = host.sysconf("SC_PAGE_SIZE")
    cpus = {nid: cpus_of_node(host, nid) for nid in ids}
    memory = {nid: _meminfo(host, nid) for nid in ids}
    distances = {nid: _distances(host, nid, ids) for nid in ids}
    accesses = {nid: (read_access(host, nid, 0), read_access(host, nid, 1)) for nid in ids}
    blocks = {
        nid: blocks_of(host, nid, zones, page_size)
        if blocks_of
        else node_blocks(host, nid, page_size)
        for nid in ids
    }
    with_memory = frozenset(nid for nid in ids if memory[nid][0])
    gpus = gpu_nodes(host)
    if tiers is not None and not grown:
        known = {*ids, *read_list(host, f"{NODES}/possible")}
        check_tiers(tiers, known, with_memory - gpus.keys())
    kernel_tiers = read_memory_tiers(host)
    tier_of = {nid: tier for tier, members in kernel_tiers.items() for nid in members}
    places, contradictions = place_nodes(
        TierFacts(
            ids=tuple(ids),
            memory=with_memory,
            cpus=frozenset(nid for nid in ids if cpus[nid]),
            kernel=kernel_tiers,
            access={nid: one for nid, (any_, cpu) in accesses.items() if (one := cpu or any_)},
            distances=distances,
            gpus=gpus,
        ),
        tiers,
    )
    nodes = tuple(
        NumaNode(
            id=nid,
            cpus=cpus[nid],
            total_bytes=memory[nid][0],
            free_bytes=memory[nid][1],
            distances=distances[nid],
            pfns=node_ranges(nid, zones, blocks[nid]),
            zones=tuple(zone for zone in zones if zone.node == nid),
            memory_tier=tier_of.get(nid),
            rank=places[nid].rank,
            toptier=places[nid].toptier,
            why=places[nid].why if memory[nid][0] else f"{places[nid].why}; has no memory",
            access0=accesses[nid][0],
            access1=accesses[nid][1],
            offline=of.offline if (of := blocks[nid]) else (),
            left_out=places[nid].left_out,
        )
        for nid in ids
    )
    return Topology(nodes, page_size, read_hz(host), _demotion(host), tiers, tuple(contradictions))


def _node_ids(host: Host) -> list[int]:
    """The ids of the online nodes; PghotError where there is none, or one that no kernel has."""
    matches = (re.fullmatch(r"node([0-9]{1,9})", name) for name in host.names(NODES))
    ids = sorted(int(match[1]) for match in matches if match)
    if not ids:
        raise PghotError(f"{NODES}: no nodes; this kernel has no NUMA (CONFIG_NUMA)")
    if ids[-1] > NID_MAX:
        raise PghotError(f"{NODES}/node{ids[-1]}: node ids end at {NID_MAX}")
    return ids


def _meminfo(host: Host, nid: int) -> tuple[int, int]:
    """Total and free bytes of a node; none where it has no such file."""
    name = f"{NODES}/node{nid}/meminfo"
    text = host.text_or(name)
    if not text:
        return 0, 0
    found = dict(re.findall(r"(MemTotal|MemFree):\s+(\S+)", text))
    total, free = (
        number(f"{name}: {field}", found.get(field, "")) for field in ("MemTotal", "MemFree")
    )
    return total << 10, free << 10


def _distances(host: Host, nid: int, ids: list[int]) -> dict[int, int]:
    """The distances to the online nodes, in whose order the kernel lists them."""
    name = f"{NODES}/node{nid}/distance"
    values = host.text_or(name).split()
    return {to: number(name, value) for to, value in zip(ids, values, strict=False)}


def _demotion(host: Host) -> bool | None:
    text = host.text_or(DEMOTION)
    return text in {"true", "1"} if text else None
