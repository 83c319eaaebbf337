"""Ranges of PFNs, and which of them are a node's: zones, and memory blocks where there are any.

A zone's span may have holes and other nodes' memory in it.  Memory blocks
(/sys/devices/system/memory, Documentation/admin-guide/mm/memory-hotplug.rst) say which part
is online and whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from pghot.linux.host import Host
from pghot.linux.zoneinfo import ZoneInfo

BLOCKS = "/sys/devices/system/memory"


class PfnRange(NamedTuple):
    """PFNs `start` up to `end`."""

    start: int
    end: int


def merge(ranges: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """Give the same PFNs in as few ranges as can be, ascending; empty ones are left out."""
    merged: list[PfnRange] = []
    for one in sorted(one for one in ranges if one.start < one.end):
        if merged and one.start <= merged[-1].end:
            merged[-1] = PfnRange(merged[-1].start, max(merged[-1].end, one.end))
        else:
            merged.append(PfnRange(*one))
    return tuple(merged)


def intersect(left: Iterable[PfnRange], right: Iterable[PfnRange]) -> tuple[PfnRange, ...]:
    """Give the PFNs that are in both."""
    ones, others = merge(left), merge(right)
    common = []
    i = j = 0
    while i < len(ones) and j < len(others):
        common.append(
            PfnRange(max(ones[i].start, others[j].start), min(ones[i].end, others[j].end))
        )
        if ones[i].end < others[j].end:
            i += 1
        else:
            j += 1
    return merge(common)


def node_ranges(
    host: Host, node: int, zones: Iterable[ZoneInfo], page_size: int
) -> tuple[PfnRange, ...]:
    """Give the node's PFNs, in pages of `page_size` bytes.

    Its zones' spans, and of those only its online memory blocks where the host has blocks.
    """
    spans = merge(PfnRange(z.start_pfn, z.end_pfn) for z in zones if z.node == node)
    blocks = _block_numbers(host, node)
    if blocks is None:
        return spans
    pages = int(host.text(f"{BLOCKS}/block_size_bytes"), 16) // page_size
    return intersect(spans, (PfnRange(n * pages, (n + 1) * pages) for n in blocks))


def _block_numbers(host: Host, node: int) -> list[int] | None:
    """Give the node's online memory blocks, or None where the host does not tell of any."""
    if not host.exists(f"{BLOCKS}/block_size_bytes"):
        return None
    place = f"/sys/devices/system/node/node{node}"
    names = [name for name in host.names(place) if re.fullmatch(r"memory\d+", name)]
    if not names:
        return None
    return [
        int(host.text_or(f"{BLOCKS}/{name}/phys_index") or f"{int(name[6:]):x}", 16)
        for name in names
        if host.text_or(f"{BLOCKS}/{name}/state", "online") == "online"
    ]
