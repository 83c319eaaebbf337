"""A host's topology as the content of a machine file, for the metadata of a log.

The form has ranges of whole sections, and one zone a node.  Where a host is more than that,
the notes say what was left out.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from pghot.engine.lists import format_list
from pghot.engine.pfn_ranges import PfnRange, intersect, subtract, whole_sections
from pghot.engine.units import PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import PghotError
from pghot.linux.nodes.topology import Topology

DEFAULT_HZ = 1000
"""Jiffies a second where the host does not tell CONFIG_HZ: a machine file's own default."""


class MachineForm(NamedTuple):
    """What a machine file would say, and what it says less than the host knows.

    `ranges`: those of the nodes that have memory, by node.
    """

    content: dict[str, Any]
    notes: tuple[str, ...]
    ranges: dict[int, tuple[PfnRange, ...]]


def machine_form(topology: Topology, hz: int | None = None) -> MachineForm:
    """The machine file of a host, in 4 KiB pages; `hz` wins over the host's own.

    A node's ranges are rounded out to sections; a section without a page of it is a hole.  Of a
    section that nodes share, the one that has most of it gets all.  A node with several zones
    gets the sum of their free pages and of their promo watermarks.

    PghotError where nodes' zones overlap and no memory blocks tell whose a page is.
    """
    notes = []
    if hz is None and topology.hz is None:
        notes.append(f"CONFIG_HZ is not known here: {DEFAULT_HZ} is taken")
    ranges, shared = _ranges(topology)
    notes += shared
    factor = topology.page_size >> PAGE_SHIFT
    nodes = []
    for node in topology.nodes:
        if node.left_out:
            notes.append(f"node {node.id}: left out: {node.why}")
            continue
        watermarks = [zone.promo for zone in node.zones]
        if None in watermarks:
            notes.append(f"node {node.id}: this kernel shows no promo watermark: 0 is taken")
        own = ranges.get(node.id, ())
        pages = sum(one.pages for one in own)
        free = sum(zone.free for zone in node.zones) * factor
        nodes.append(
            {
                "id": node.id,
                **_keys(own),
                "toptier": node.toptier,
                "cpus": format_list(node.cpus),
                "free_pages": min(free, pages),
                "promo_wmark": sum(mark or 0 for mark in watermarks) * factor,
            }
        )
    content = {"hz": hz or topology.hz or DEFAULT_HZ, "node": nodes}
    return MachineForm(content, tuple(notes), {nid: own for nid, own in ranges.items() if own})


def with_latencies(form: MachineForm, topology: Topology) -> MachineForm:
    """The form with `latency_ns` of nodes: what the firmware's HMAT says of a read.

    As the nearest CPUs have it (access class 1), else any initiator; a note where it is silent.
    """
    known = {
        node.id: latency
        for node in topology.nodes
        for access in (node.access,)
        if access is not None and not node.left_out and (latency := access.read_latency)
    }
    nodes = [
        node | ({"latency_ns": known[node["id"]]} if node["id"] in known else {})
        for node in form.content["node"]
    ]
    silent = [] if known else ["the firmware tells no latencies (HMAT): name them by latency_ns"]
    notes = (*form.notes, *silent)
    return MachineForm(form.content | {"node": nodes}, notes, form.ranges)


def _keys(ranges: tuple[PfnRange, ...]) -> dict[str, Any]:
    """The keys of a machine file for these ranges: those of old where one will do."""
    if len(ranges) > 1:
        return {"ranges": [[*one] for one in ranges]}
    start = ranges[0].start if ranges else 0
    return {"start_pfn": start, "pages": sum(one.pages for one in ranges)}


def _ranges(topology: Topology) -> tuple[dict[int, tuple[PfnRange, ...]], list[str]]:
    """Each node's ranges in 4 KiB pages, and what is to be said of shared sections."""
    exact = _exact_ranges(topology)
    _check_apart(exact)
    ranges, notes = {}, []
    owners = _owners_of_shared(exact)
    for nid, own in exact.items():
        lost = [
            PfnRange(section * PAGES_PER_SECTION, (section + 1) * PAGES_PER_SECTION)
            for section, owner in owners.items()
            if owner != nid and section in _edge_sections(own)
        ]
        notes += [
            f"node {nid}: what it has of the section at PFN {section.start} counts as node "
            f"{owners[section.start // PAGES_PER_SECTION]}'s, which has more of it"
            for section in lost
        ]
        ranges[nid] = subtract(whole_sections(own), lost)
    return ranges, notes


def _exact_ranges(topology: Topology) -> dict[int, tuple[PfnRange, ...]]:
    """Each node's ranges in 4 KiB pages, the node that is lowest in memory first."""
    factor = topology.page_size >> PAGE_SHIFT
    with_pfns = sorted(
        (node.pfns, node.id) for node in topology.nodes if node.pfns and not node.left_out
    )
    return {
        nid: tuple(PfnRange(one.start * factor, one.end * factor) for one in pfns)
        for pfns, nid in with_pfns
    }


def _edge_sections(ranges: tuple[PfnRange, ...]) -> set[int]:
    """The sections that ranges begin or end in."""
    return {pfn // PAGES_PER_SECTION for one in ranges for pfn in (one.start, one.end - 1)}


def _owners_of_shared(exact: dict[int, tuple[PfnRange, ...]]) -> dict[int, int]:
    """The owner of each section that several nodes begin or end in, ascending.

    It is the node that has most of the section; of equals, the lowest in memory.
    """
    nids: dict[int, list[int]] = {}
    for nid, own in exact.items():
        for section in _edge_sections(own):
            nids.setdefault(section, []).append(nid)
    return {
        section: max(sharing, key=lambda nid: _pages_in(section, exact[nid]))
        for section, sharing in sorted(nids.items())
        if len(sharing) > 1
    }


def _pages_in(section: int, ranges: tuple[PfnRange, ...]) -> int:
    start = section * PAGES_PER_SECTION
    return sum(
        one.pages for one in intersect(ranges, [PfnRange(start, start + PAGES_PER_SECTION)])
    )


def _check_apart(exact: dict[int, tuple[PfnRange, ...]]) -> None:
    """Refuse nodes whose ranges overlap: zones may, where no memory block says whose it is."""
    by_pfn = sorted((one, nid) for nid, own in exact.items() for one in own)
    for (low, nid), (high, other) in pairwise(by_pfn):
        if high.start < low.end:
            raise PghotError(
                f"nodes {nid} and {other}: the zones {low} and {high} overlap, and the host has "
                "no memory blocks (CONFIG_MEMORY_HOTPLUG) that tell whose a page is"
            )
