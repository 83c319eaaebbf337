"""A machine with another amount of fast memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from pghot.engine.memory import Node
from pghot.engine.sizes import format_size, parse_size
from pghot.engine.units import PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.log.machine import MAX_PFN, Machine
from pghot.log.read import open_log
from pghot.simulated.scenario.scenario import NodeTable, Scenario
from pghot.workloads.page_folios import PageFolios


class Footprint(NamedTuple):
    """Different pages that a workload touches, and those of them that are fast to begin with."""

    pages: int
    on_fast: int = 0


def footprint_of_log(path: Path, machine: Machine) -> Footprint:
    """Count the pages of a log in one pass; rows that cannot be read are passed over."""
    met = PageFolios()
    with open_log(path) as log:
        for chunk in log.chunks(("pfn",)):
            wrong = chunk.bad.get("pfn")
            pfns = chunk.columns["pfn"] if wrong is None else chunk.columns["pfn"][~wrong]
            met.of(np.ascontiguousarray(pfns))
    pfns = met.keys()
    tops = [node for node in machine.nodes if node.toptier]
    on_fast = sum(
        int(np.count_nonzero((pfns >= node.start_pfn) & (pfns < node.end_pfn))) for node in tops
    )
    return Footprint(len(pfns), on_fast)


def footprint_of_scenario(scenario: Scenario) -> Footprint:
    """The pages of all regions."""
    return Footprint(sum(parse_size(region.size) for region in scenario.region) >> PAGE_SHIFT)


def machine_with(
    machine: Machine, pages: int, footprint: Footprint, *, placed_anew: bool = False
) -> Machine:
    """The machine whose top tier has room for `pages` pages of a log and no more.

    The log's pages that are fast to begin with take theirs of it; the rest is free, on the
    first top-tier node.  Where pages are `placed_anew` that may be less than none: so many
    have to go before the first access.  InputError where that is impossible.
    """
    tops = [node for node in machine.nodes if node.toptier]
    if not tops:
        raise InputError("the machine has no top-tier node that could be made larger or smaller")
    if pages < footprint.on_fast and not placed_anew:
        raise InputError(
            f"fast memory of {format_size(pages << PAGE_SHIFT)}: the log has "
            f"{format_size(footprint.on_fast << PAGE_SHIFT)} on the top tier to begin with; "
            "take a larger size, or have pages placed anew by --start first-touch"
        )
    free = pages - footprint.on_fast
    target = _large_enough(machine, tops[0], pages)
    nodes = [
        replace(target, free_pages=free)
        if node.id == target.id
        else replace(node, free_pages=0)
        if node.toptier
        else node
        for node in machine.nodes
    ]
    return Machine(tuple(nodes), machine.folios, machine.hz)


def _large_enough(machine: Machine, node: Node, pages: int) -> Node:
    """The node with at least so many pages, up to where the next one begins."""
    if node.pages >= pages:
        return node
    wanted = -(-pages // PAGES_PER_SECTION) * PAGES_PER_SECTION
    after = [other.start_pfn for other in machine.nodes if other.start_pfn > node.start_pfn]
    most = min(after, default=MAX_PFN) - node.start_pfn
    if wanted > most:
        raise InputError(
            f"fast memory of {format_size(pages << PAGE_SHIFT)}: node {node.id} has room for "
            f"{format_size(most << PAGE_SHIFT)} before the next node begins; name a machine with "
            "more by --machine"
        )
    return replace(node, pages=wanted)


def scenario_with(scenario: Scenario, pages: int) -> Scenario:
    """The scenario with so much memory on its top-tier nodes together.

    Each keeps its part of it.  InputError where nothing is left.
    """
    sizes = {node.id: parse_size(node.size) for node in scenario.node if node.toptier}
    total = sum(sizes.values())
    if not total:
        raise InputError("the scenario has no top-tier node that could be made larger or smaller")

    def resized(node: NodeTable) -> NodeTable:
        if node.id not in sizes:
            return node
        size = round(pages * sizes[node.id] / total) << PAGE_SHIFT
        if not size:
            raise InputError(
                f"fast memory of {format_size(pages << PAGE_SHIFT)}: nothing is left of node "
                f"{node.id}"
            )
        return msgspec.structs.replace(node, size=format_size(size))

    return msgspec.structs.replace(scenario, node=[resized(node) for node in scenario.node])
