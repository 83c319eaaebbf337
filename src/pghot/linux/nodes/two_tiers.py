"""Whether a host has memory to promote from and to, and what to do where it has not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pghot.engine.lists import format_list
from pghot.linux.nodes.pfns import BLOCKS
from pghot.linux.nodes.topology import NumaNode, Topology


class Lacks(NamedTuple):
    """What is missing, and what would mend it: a command, or its options for any command."""

    what: str
    command: str = ""
    tiers: str = ""


def lacks_tiers(topology: Topology) -> Lacks | None:
    """Why nothing can be promoted on this host; None where something can."""
    if topology.slow and topology.fast:
        return None
    if offline := [node for node in topology.nodes if node.offline and not node.pfns]:
        blocks = [block for node in offline for block in node.offline]
        return Lacks("; ".join(map(offline_blocks, offline)), online_command(blocks))
    if topology.slow:
        return Lacks("no fast node has memory", tiers="FAST/SLOW")
    return _nothing_slow(topology)


def _nothing_slow(topology: Topology) -> Lacks:
    if topology.suggested_tiers:
        what = "the kernel takes every node for top tier; some have no CPUs"
        return Lacks(what, tiers=topology.suggested_tiers)
    if len(topology.fast) > 1:
        return Lacks("all memory is top tier; where you know better, say it", tiers="FAST/SLOW")
    gpus = [node.id for node in topology.nodes if node.left_out and node.has_memory]
    beside = f" beside memory of GPUs (node {format_list(gpus)})" if gpus else ""
    return Lacks(f"one node only{beside}", "pghot demo")


def no_hint_faults(topology: Topology) -> str:
    """Why no hint fault is ever seen of slow memory; empty where some are."""
    if not topology.slow or set(topology.slow) & set(topology.kernel_slow):
        return ""
    slow = format_list(topology.slow)
    return f"the kernel has node {slow} in its top tier and takes no hint faults there"


MENDS_TIER = "sudo daxctl reconfigure-device --mode=system-ram --force DEVICE"
"""What puts memory of a dax device into a lower tier of the kernel's, from Linux 6.1 on
(drivers/dax/kmem.c); from 6.7 on the kernel reads HMAT itself."""


def offline_blocks(node: NumaNode) -> str:
    """What to say of a node's offline memory blocks."""
    blocks = "memory block" if len(node.offline) == 1 else "memory blocks"
    more = "" if node.pfns else ": it has no other memory"
    return f"node {node.id}: {blocks} {format_list(node.offline)} offline{more}"


def online_command(blocks: Sequence[int]) -> str:
    """The command that brings memory blocks online, movable so that they can go again."""
    runs = format_list(blocks).split(",")
    parts = [f"{{{run.replace('-', '..')}}}" if "-" in run else run for run in runs]
    names = parts[0] if len(parts) == 1 else f"{{{','.join(parts)}}}"
    return f"echo online_movable | sudo tee {BLOCKS}/memory{names}/state"
