"""Which node is in which tier, and which are top tier: the kernel's view, or the user's.

Kernel: mm/memory-tiers.c, Documentation/ABI/testing/sysfs-kernel-mm-memory-tiers.  The lower
the number of a tier, the faster its memory.  node_is_toptier(): a tier is top where it is at
or above the slowest tier that has CPUs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pghot.engine.lists import format_list, parse_list
from pghot.errors import InputError
from pghot.linux.fields import read_list
from pghot.linux.host import Host

TIERING = "/sys/devices/virtual/memory_tiering"


@dataclass(frozen=True, slots=True)
class NodeTier:
    """Where a node stands: `rank` 0 is the fastest tier, None that the node is in no tier.

    `left_out`: its memory is nobody's to promote from or to.
    """

    rank: int | None
    toptier: bool
    why: str
    left_out: bool = False


def read_memory_tiers(host: Host) -> dict[int, tuple[int, ...]]:
    """The nodes of each memory tier by its number; empty where the kernel has none."""
    tiers = {}
    for name in host.names(TIERING):
        if match := re.fullmatch(r"memory_tier([0-9]{1,9})", name):
            nodes = read_list(host, f"{TIERING}/{name}/nodelist")
            if nodes:
                tiers[int(match[1])] = nodes
    return dict(sorted(tiers.items()))


def parse_tiers(text: str) -> tuple[tuple[int, ...], ...]:
    """The node lists of `--tiers`, such as `0-1/2,4`: fastest first, the first is top.

    InputError where it is something else, or names a node twice.
    """
    try:
        groups = tuple(parse_list(part) for part in text.split("/"))
    except ValueError as error:
        raise InputError(f"--tiers {text}: {error}") from error
    if not all(groups):
        raise InputError(f"--tiers {text}: wants node lists, fastest first, such as 0/1,2")
    named = [node for group in groups for node in group]
    for node in named:
        if named.count(node) > 1:
            raise InputError(f"--tiers {text}: node {node} is named twice")
    return groups


def check_tiers(text: str, known: Collection[int], with_memory: Iterable[int]) -> None:
    """Refuse `--tiers` that names an unknown node, or leaves out one that has memory."""
    named = {node for group in parse_tiers(text) for node in group}
    if unknown := sorted(named - set(known)):
        raise InputError(
            f"--tiers {text}: there is no node {unknown[0]}; nodes here: {format_list(known)}"
        )
    if left_out := sorted(set(with_memory) - named):
        raise InputError(f"--tiers {text}: node {left_out[0]} has memory and is not named")


def places_by_user(text: str, nodes: Iterable[int]) -> dict[int, NodeTier]:
    """The place of each node by `--tiers`; one that is not named comes after the last."""
    groups = parse_tiers(text)
    rank_of = {node: rank for rank, group in enumerate(groups) for node in group}
    places = {}
    for node in nodes:
        rank = rank_of.get(node)
        where = "not named in" if rank is None else f"group {rank + 1} of"
        places[node] = NodeTier(
            len(groups) if rank is None else rank, rank == 0, f"{where} --tiers"
        )
    return places


def places_by_tier(
    tiers: Mapping[int, tuple[int, ...]], with_cpus: Collection[int], nodes: Iterable[int]
) -> dict[int, NodeTier]:
    """The place of each node by the kernel's memory tiers."""
    of_node = {node: number for number, members in tiers.items() for node in members}
    ranks = {number: rank for rank, number in enumerate(sorted(tiers))}
    have_cpus = [number for number, members in tiers.items() if set(members) & set(with_cpus)]
    last_top = max(have_cpus, default=min(tiers))
    places = {}
    for node in nodes:
        tier = of_node.get(node)
        if tier is None:  # the kernel counts it as top tier
            places[node] = NodeTier(None, True, "in no memory tier")
            continue
        why = _why(tier, last_top, bool(have_cpus))
        if tier in have_cpus and node not in with_cpus:
            why = f"no CPUs, but the kernel has it in memory_tier{tier} with nodes that have some"
        places[node] = NodeTier(ranks[tier], tier <= last_top, why)
    return places


def _why(tier: int, last_top: int, any_cpus: bool) -> str:
    if not any_cpus:
        order = "the fastest" if tier == last_top else f"below memory_tier{last_top}, the fastest"
        return f"memory_tier{tier}, {order} (no tier has CPUs)"
    if tier == last_top:
        return f"memory_tier{tier}, the slowest with CPUs"
    order = "above" if tier < last_top else "below"
    return f"memory_tier{tier}, {order} memory_tier{last_top}, the slowest with CPUs"


def places_by_cpus(with_cpus: Collection[int], nodes: Iterable[int]) -> dict[int, NodeTier]:
    """The place of each node where the kernel has no memory tiers."""
    return {
        node: NodeTier(0, True, "has CPUs (this kernel shows no memory tiers)")
        if node in with_cpus
        else NodeTier(1, False, "has no CPUs (this kernel shows no memory tiers)")
        for node in nodes
    }
