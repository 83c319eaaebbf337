"""What a person should know of a host before a run on it, a line each."""

from __future__ import annotations

import numpy as np

from pghot.engine.lists import format_list
from pghot.errors import Caution
from pghot.linux.host import Host
from pghot.linux.nodes.topology import DEMOTION, NumaNode, Topology
from pghot.linux.processes.kvm import UNSEEN, guests
from pghot.linux.processes.targets import Targets
from pghot.live.machine import promo_wmark
from pghot.sources import hint_faults
from pghot.sources.choose import Choice

_ENOUGH_BYTES = 1 << 30


def cautions(
    host: Host, topology: Topology, choice: Choice, targets: Targets | None = None
) -> list[Caution]:
    """What keeps pages from being seen or from being promoted on this host."""
    lines = [*topology.contradictions, *_no_demotion(topology)]
    if hint_faults.NAME in choice.names:
        lines += [*_kernel_promotes(topology), *_kernel_disagrees(topology)]
        lines += _guests(host, targets)
    return [Caution(line) for line in lines]


def _guests(host: Host, targets: Targets | None) -> list[str]:
    """Caution of targets whose memory is a guest's."""
    pids = np.array(guests(host), np.int64)
    ours = pids[targets.contains(pids)] if targets is not None and len(pids) else pids
    if not len(ours):
        return []
    return [f"process {', '.join(map(str, ours.tolist()))} runs a KVM guest: {UNSEEN}"]


def _no_demotion(topology: Topology) -> list[str]:
    """Caution of a fast node that nobody makes room in: reclaim demotes only where it may.

    can_demote() of mm/vmscan.c.
    """
    if topology.demotion is not False:
        return []
    line = (
        "demotion is off: once the fast node is full nothing more is promoted, or reclaim swaps; "
        f"echo 1 > {DEMOTION} lets it demote"
    )
    return [line]


def _kernel_promotes(topology: Topology) -> list[str]:
    """Caution of top-tier nodes with so much free that no rate limit holds the kernel back.

    pgdat_free_space_enough() of kernel/sched/fair.c.
    """
    roomy = [node.id for node in topology.nodes if node.toptier and _roomy(node, topology)]
    if not roomy:
        return []
    line = (
        f"node {format_list(roomy)}: so much is free there that the kernel promotes by itself, "
        "at the first hint fault; what it promotes is counted apart"
    )
    return [line]


def _roomy(node: NumaNode, topology: Topology) -> bool:
    present = sum(zone.present for zone in node.zones)
    enough = max(_ENOUGH_BYTES // topology.page_size, present >> 4)
    return any(zone.free > promo_wmark(zone) + enough for zone in node.zones)


def _kernel_disagrees(topology: Topology) -> list[str]:
    """Caution of slow nodes whose hint faults the kernel does not take: it goes by its tiers."""
    unseen = sorted(set(topology.slow) - set(topology.kernel_slow))
    if not unseen:
        return []
    by = "--tiers" if topology.tiers is not None else "HMAT"
    line = (
        f"node {format_list(unseen)}: slow by {by} only; the kernel takes it for top tier and "
        "shows no hint faults of its pages (hardware samples do not depend on that)"
    )
    return [line]
