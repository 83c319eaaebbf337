"""Which tier each node is in, by all that is known of it: the one place of this rule.

docs/hosts.md, "Which memory is fast", says the same in words.  In this order: `--tiers`, the
kernel's memory tiers, the firmware's HMAT, CPUs.  Memory of GPUs is in no tier unless `--tiers`
names it.  The kernel's tiers hold against HMAT, for it takes hint faults by them; where the
two contradict each other that is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pghot.engine.lists import format_list
from pghot.linux.nodes.hmat import ADISTANCE_DRAM, TIER_SHIFT, Access, tier_beside
from pghot.linux.nodes.tiers import (
    NodeTier,
    parse_tiers,
    places_by_cpus,
    places_by_tier,
    places_by_user,
)

DRAM_TIER = ADISTANCE_DRAM >> TIER_SHIFT


@dataclass(frozen=True, slots=True)
class TierFacts:
    """What is known of the nodes, by id.

    `memory` are the nodes that have some, `cpus` those with CPUs.  `access` is HMAT's, from the
    nearest CPUs where it tells that.  `gpus` is the GPU whose memory a node is.
    """

    ids: tuple[int, ...]
    memory: frozenset[int]
    cpus: frozenset[int]
    kernel: Mapping[int, tuple[int, ...]]
    access: Mapping[int, Access]
    distances: Mapping[int, Mapping[int, int]]
    gpus: Mapping[int, str]

    def without_gpus(self) -> TierFacts:
        """The same of all other nodes."""
        return replace(
            self,
            ids=tuple(nid for nid in self.ids if nid not in self.gpus),
            memory=self.memory - self.gpus.keys(),
            kernel={
                number: kept
                for number, members in self.kernel.items()
                if (kept := tuple(nid for nid in members if nid not in self.gpus))
            },
        )


def place_nodes(
    evidence: TierFacts, tiers: str | None
) -> tuple[dict[int, NodeTier], tuple[str, ...]]:
    """The place of each node, and what contradicts itself about them, a line each."""
    if tiers is not None:
        named = {nid for group in parse_tiers(tiers) for nid in group}
        places = places_by_user(tiers, evidence.ids)
        gpus = {nid: gpu for nid, gpu in evidence.gpus.items() if nid not in named}
        return places | _left_out(evidence, gpus), ()
    rest = evidence.without_gpus()
    places, lines = _by_what_is_known(rest)
    return places | _left_out(evidence, evidence.gpus), lines


def _left_out(evidence: TierFacts, gpus: Mapping[int, str]) -> dict[int, NodeTier]:
    why = "memory of the GPU {}: left out of both tiers"
    return {
        nid: NodeTier(None, False, why.format(gpus[nid]), left_out=True)
        for nid in evidence.ids
        if nid in gpus
    }


def _by_what_is_known(evidence: TierFacts) -> tuple[dict[int, NodeTier], tuple[str, ...]]:
    apart = [number for number, nodes in evidence.kernel.items() if evidence.memory & {*nodes}]
    by_tier = places_by_tier(evidence.kernel, evidence.cpus, evidence.ids) if apart else {}
    firmware = _by_firmware(evidence)
    if len(apart) > 1:
        return by_tier, _contradictions(evidence, by_tier, firmware)
    if firmware and not all(place.toptier for place in firmware.values()):
        rest = by_tier or places_by_cpus(evidence.cpus, evidence.ids)
        return rest | firmware, _one_tier(evidence, firmware) if apart else ()
    if by_tier:
        return by_tier | firmware, ()
    if not evidence.cpus & evidence.memory:
        return _by_distance(evidence), ()
    return places_by_cpus(evidence.cpus, evidence.ids) | firmware, ()


def _by_firmware(evidence: TierFacts) -> dict[int, NodeTier]:
    """The place of each node with memory whose speed HMAT lets compare; none of the others."""
    known = {
        nid: one for nid, one in evidence.access.items() if nid in evidence.memory and str(one)
    }
    near = sorted(known.keys() & evidence.cpus)
    if not evidence.cpus & evidence.memory:
        near = _fastest(known)
    if not near or len(known) == 1:
        return {}
    first = near[0]
    number = {nid: tier_beside(one, known[first]) for nid, one in known.items()}
    tiers = {nid: tier for nid, tier in number.items() if tier is not None}
    last_top = max(tiers[nid] for nid in near if nid in tiers)
    order = sorted(set(tiers.values()))
    return {
        nid: NodeTier(
            order.index(tier), tier <= last_top, _speed(nid, tier, last_top, known, first)
        )
        for nid, tier in tiers.items()
    }


def _fastest(known: Mapping[int, Access]) -> list[int]:
    """The node whose memory is the fastest of all, where no node with CPUs has figures."""

    def slower_than(nid: int) -> int:
        beside = (tier_beside(known[nid], other) for other in known.values())
        return max((tier for tier in beside if tier is not None), default=0)

    return sorted(known, key=lambda nid: (slower_than(nid), nid))[:1]


def _speed(nid: int, tier: int, last_top: int, known: Mapping[int, Access], first: int) -> str:
    if nid == first:
        return f"HMAT: {known[nid]}, the measure of the others"
    order = "faster than" if tier < last_top else "as fast as"
    order = "slower than" if tier > last_top else order
    return f"HMAT: {known[nid]}: {order} node {first} ({known[first]})"


def _contradictions(
    evidence: TierFacts, kernel: Mapping[int, NodeTier], firmware: Mapping[int, NodeTier]
) -> tuple[str, ...]:
    """Nodes that the kernel and the firmware put on different sides."""
    lines = []
    for nid, place in firmware.items():
        if place.toptier != kernel[nid].toptier and nid not in evidence.cpus:
            side = "top" if kernel[nid].toptier else "lower"
            lines.append(
                f"node {nid}: {side} tier by the kernel ({kernel[nid].why}), but {place.why}; "
                "the kernel's word holds unless --tiers says otherwise"
            )
    return tuple(lines)


def _one_tier(evidence: TierFacts, firmware: Mapping[int, NodeTier]) -> tuple[str, ...]:
    """Slow nodes that the kernel has beside fast ones, in the tier that is its default."""
    slow = [nid for nid, place in firmware.items() if not place.toptier and nid in evidence.memory]
    whys = "; ".join(f"node {nid}: {firmware[nid].why}" for nid in slow)
    by_whom = f"node {format_list(slow)}: lower tier by HMAT alone ({whys})"
    return (f"{by_whom}; the kernel has all memory in one tier, where it takes no hint faults",)


def _by_distance(evidence: TierFacts) -> dict[int, NodeTier]:
    """Where no node with CPUs has memory: what is nearest to some of them is top tier."""
    initiators = {nid for one in evidence.access.values() for nid in one.initiators}
    nearest: set[int] = set()
    for cpu in evidence.cpus or initiators:
        far = {
            nid: distance
            for nid in evidence.memory
            if (distance := evidence.distances.get(cpu, {}).get(nid)) is not None
        }
        nearest |= {nid for nid, distance in far.items() if distance == min(far.values())}
    nearest = nearest or set(evidence.memory)
    why = "of the nodes with memory, none of which has CPUs, "
    return {
        nid: NodeTier(0, True, f"{why}one of the nearest to some CPUs")
        if nid in nearest or nid not in evidence.memory
        else NodeTier(1, False, f"{why}farther from all CPUs")
        for nid in evidence.ids
    }
