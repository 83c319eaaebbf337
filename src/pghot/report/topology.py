"""A host's topology as tables that a person reads."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pghot.engine.lists import format_list
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.nodes.hmat import Access
from pghot.linux.nodes.topology import Topology
from pghot.linux.nodes.two_tiers import offline_blocks, online_command
from pghot.report.sizes import size


def print_topology(topology: Topology) -> None:
    """Print nodes, why each is in its tier, and how fast they are, to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    console.print(_nodes(topology))
    for node in topology.nodes:
        tier = "no tier" if node.left_out else "top tier" if node.toptier else "lower tier"
        console.print(f"node {node.id}: {tier}: {node.why}", soft_wrap=True)
    for line in topology.contradictions:
        console.print(f"contradiction: {line}", soft_wrap=True)
    for node in topology.nodes:
        if node.offline:
            how = online_command(node.offline)
            console.print(f"{offline_blocks(node)}; to bring online: {how}", soft_wrap=True)
    if any(node.access0 or node.access1 for node in topology.nodes):
        console.print(_speeds(topology))
    for line in _remarks(topology):
        console.print(line, soft_wrap=True)


def _nodes(topology: Topology) -> Table:
    table = Table("node", "tier", "CPUs", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("memory", justify="right")
    table.add_column("free", justify="right")
    table.add_column("distance to " + " ".join(str(node.id) for node in topology.nodes))
    for node in topology.nodes:
        table.add_row(
            f"{node.id}",
            "none" if node.left_out else "top" if node.toptier else "lower",
            format_list(node.cpus) or "none",
            size(node.total_bytes >> PAGE_SHIFT),
            size(node.free_bytes >> PAGE_SHIFT),
            " ".join(f"{node.distances.get(to.id, '?')}" for to in topology.nodes),
        )
    return table


def _speeds(topology: Topology) -> Table:
    """The firmware's figures: class 0 from the nearest node, 1 from the nearest CPUs."""
    table = Table("node", "from", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("read", "write", "read", "write"):
        table.add_column(f"{name}\n{'ns' if len(table.columns) < 4 else 'MB/s'}", justify="right")
    for node in topology.nodes:
        accesses = [node.access0] + [node.access1] * (node.access1 != node.access0)
        for access in filter(None, accesses):
            table.add_row(f"{node.id}", format_list(access.initiators), *_figures(access))
    return table


def _figures(access: Access) -> list[str]:
    values = (
        access.read_latency,
        access.write_latency,
        access.read_bandwidth,
        access.write_bandwidth,
    )
    return ["not told" if value is None else f"{value:,}" for value in values]


def _remarks(topology: Topology) -> list[str]:
    demotion = {True: "on", False: "off", None: "not in this kernel"}[topology.demotion]
    hz = "not told here" if topology.hz is None else topology.hz
    lines = [f"demotion {demotion}; pages of {topology.page_size >> 10} KiB; CONFIG_HZ {hz}"]
    if topology.suggested_tiers:
        lines.append(
            "no node is slow; where those without CPUs are: "
            f"pghot topology --tiers {topology.suggested_tiers}"
        )
    return lines
