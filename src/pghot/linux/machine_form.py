"""A host's topology as the content of a machine file, for the metadata of a log.

The form allows one range of whole sections a node, and one zone.  Where a host is more than
that, the notes say what was left out; where it cannot be said at all, it is an error.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from pghot.engine.lists import format_list
from pghot.engine.units import PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import PghotError
from pghot.linux.pfns import PfnRange
from pghot.linux.topology import Topology

DEFAULT_HZ = 1000
"""Jiffies a second where the host does not tell CONFIG_HZ: a machine file's own default."""


class MachineForm(NamedTuple):
    """What a machine file would say, and what it says less than the host knows."""

    content: dict[str, Any]
    notes: tuple[str, ...]


def machine_form(topology: Topology, hz: int | None = None) -> MachineForm:
    """Give the machine file of a host, in 4 KiB pages; `hz` wins over the host's own.

    A node's range goes from its first PFN to its last, rounded out to sections; holes belong
    to it.  Of a section that two nodes share, the node that has more of it gets all.  A node
    with several zones gets the sum of their free pages and of their promo watermarks.

    PghotError where one node's memory lies on both sides of another's.
    """
    notes = []
    if hz is None and topology.hz is None:
        notes.append(f"CONFIG_HZ is not known here: {DEFAULT_HZ} is taken")
    spans, shared = _spans(topology)
    notes += shared
    factor = topology.page_size >> PAGE_SHIFT
    nodes = []
    for node in topology.nodes:
        watermarks = [zone.promo for zone in node.zones]
        if None in watermarks:
            notes.append(f"node {node.id}: this kernel shows no promo watermark: 0 is taken")
        span = spans.get(node.id, PfnRange(0, 0))
        pages = span.end - span.start
        free = sum(zone.free for zone in node.zones) * factor
        nodes.append(
            {
                "id": node.id,
                "start_pfn": span.start,
                "pages": pages,
                "toptier": node.toptier,
                "cpus": format_list(node.cpus),
                "free_pages": min(free, pages),
                "promo_wmark": sum(mark or 0 for mark in watermarks) * factor,
            }
        )
    content = {"hz": hz or topology.hz or DEFAULT_HZ, "node": nodes}
    return MachineForm(content, tuple(notes))


def with_latencies(form: MachineForm, topology: Topology) -> MachineForm:
    """Give the form with `latency_ns` of nodes: what the firmware's HMAT says of a read.

    As the nearest CPUs have it (access class 1), else any initiator; a note where it is silent.
    """
    known = {
        node.id: latency
        for node in topology.nodes
        for access in (node.access1 or node.access0,)
        if access is not None and (latency := access.read_latency)
    }
    nodes = [
        node | ({"latency_ns": known[node["id"]]} if node["id"] in known else {})
        for node in form.content["node"]
    ]
    silent = [] if known else ["the firmware tells no latencies (HMAT): name them by latency_ns"]
    return MachineForm(form.content | {"node": nodes}, (*form.notes, *silent))


def _spans(topology: Topology) -> tuple[dict[int, PfnRange], list[str]]:
    """Give each node's range in 4 KiB pages, and what is to be said of shared sections."""
    exact = _exact_spans(topology)
    for low, high in pairwise(exact):
        if exact[high].start < exact[low].end:
            raise PghotError(
                f"nodes {low} and {high}: the memory of one lies on both sides of the other's; "
                "a log's machine has one range of PFNs a node"
            )
    spans, notes = {}, []
    for nid, span in exact.items():
        first, last = span.start // PAGES_PER_SECTION, (span.end - 1) // PAGES_PER_SECTION
        lost = {section for section in {first, last} if _owner(section, exact) != nid}
        notes += [
            f"node {nid}: what it has of the section at PFN {section * PAGES_PER_SECTION} "
            f"counts as node {_owner(section, exact)}'s, which has more of it"
            for section in sorted(lost)
        ]
        start, end = first + (first in lost), last + 1 - (last in lost)
        if start < end:
            spans[nid] = PfnRange(start * PAGES_PER_SECTION, end * PAGES_PER_SECTION)
    return spans, notes


def _exact_spans(topology: Topology) -> dict[int, PfnRange]:
    """Give each node's first to last PFN in 4 KiB pages, in the order of their PFNs."""
    factor = topology.page_size >> PAGE_SHIFT
    with_pfns = sorted((node.pfns, node.id) for node in topology.nodes if node.pfns)
    return {
        nid: PfnRange(pfns[0].start * factor, pfns[-1].end * factor) for pfns, nid in with_pfns
    }


def _owner(section: int, exact: dict[int, PfnRange]) -> int:
    """Give the node that has most of a section; of equals, the lowest in memory."""
    start = section * PAGES_PER_SECTION
    end = start + PAGES_PER_SECTION
    return max(exact, key=lambda nid: min(end, exact[nid].end) - max(start, exact[nid].start))
