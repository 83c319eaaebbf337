"""Which PFNs are a node's: its zones, and of those its memory blocks where there are any.

A zone's span may have holes and other nodes' memory in it.  Memory blocks
(/sys/devices/system/memory, Documentation/admin-guide/mm/memory-hotplug.rst) say which part
is online and whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pghot.engine.pfn_ranges import PfnRange, intersect, merge
from pghot.linux.host import Host
from pghot.linux.nodes.zoneinfo import ZoneInfo

BLOCKS = "/sys/devices/system/memory"


def node_ranges(
    host: Host, node: int, zones: Iterable[ZoneInfo], page_size: int
) -> tuple[PfnRange, ...]:
    """The node's PFNs, in pages of `page_size` bytes.

    Its zones' spans, and of those only its online memory blocks where the host has blocks.
    """
    spans = merge(PfnRange(z.start_pfn, z.end_pfn) for z in zones if z.node == node)
    blocks = _block_numbers(host, node)
    if blocks is None:
        return spans
    pages = int(host.text(f"{BLOCKS}/block_size_bytes"), 16) // page_size
    return intersect(spans, (PfnRange(n * pages, (n + 1) * pages) for n in blocks))


def _block_numbers(host: Host, node: int) -> list[int] | None:
    """The node's online memory blocks, or None where the host does not tell of any."""
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
