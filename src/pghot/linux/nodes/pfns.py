"""Which PFNs are a node's: its zones, and of those its memory blocks where there are any.

A zone's span may have holes and other nodes' memory in it.  Memory blocks
(/sys/devices/system/memory, Documentation/admin-guide/mm/memory-hotplug.rst) say which part
is online and whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pghot.engine.pfn_ranges import PfnRange, intersect, merge
from pghot.errors import PghotError
from pghot.linux.fields import read_number
from pghot.linux.host import Host
from pghot.linux.nodes.zoneinfo import ZoneInfo

BLOCKS = "/sys/devices/system/memory"


class Blocks(NamedTuple):
    """The numbers of a node's memory blocks, online and not, and the pages of each."""

    online: tuple[int, ...]
    offline: tuple[int, ...]
    pages: int


def node_ranges(
    node: int, zones: Iterable[ZoneInfo], blocks: Blocks | None
) -> tuple[PfnRange, ...]:
    """The node's PFNs, in pages of the host's own size.

    Its zones' spans, and of those only its online memory blocks where the host has blocks.
    """
    spans = merge(PfnRange(z.start_pfn, z.end_pfn) for z in zones if z.node == node)
    if blocks is None:
        return spans
    return intersect(spans, _joined(blocks.online, blocks.pages))


def node_blocks(host: Host, node: int, page_size: int) -> Blocks | None:
    """The node's memory blocks, or None where the host does not tell of any.

    PghotError where their size or a block's number is none.
    """
    size_file = f"{BLOCKS}/block_size_bytes"
    if not host.exists(size_file):
        return None
    place = f"/sys/devices/system/node/node{node}"
    names = [name for name in host.names(place) if re.fullmatch(r"memory[0-9]+", name)]
    if not names:
        return None
    return blocks_from(host, [block_state(host, name) for name in names], page_size)


def block_state(host: Host, name: str) -> tuple[int, bool]:
    """A block's number, and whether it is online; PghotError where the number is none."""
    index = read_number(host, f"{BLOCKS}/{name}/phys_index", int(name[6:]), base=16)
    return index, host.text_or(f"{BLOCKS}/{name}/state", "online") == "online"


def blocks_from(host: Host, states: Iterable[tuple[int, bool]], page_size: int) -> Blocks:
    """Blocks from the state of each; PghotError where the host's size of a block is none."""
    size_file = f"{BLOCKS}/block_size_bytes"
    pages = read_number(host, size_file, base=16) // page_size
    if not pages:
        raise PghotError(f"{size_file}: {host.text_or(size_file)!r}: less than a page")
    by_state: dict[bool, list[int]] = {True: [], False: []}
    for index, online in states:
        by_state[online].append(index)
    return Blocks(tuple(sorted(by_state[True])), tuple(sorted(by_state[False])), pages)


def _joined(numbers: Sequence[int], pages: int) -> Iterator[PfnRange]:
    """Ranges of blocks that follow each other; there are few, however many blocks there are."""
    start = 0
    for at, number in enumerate(numbers):
        if at + 1 == len(numbers) or numbers[at + 1] != number + 1:
            yield PfnRange(numbers[start] * pages, (number + 1) * pages)
            start = at + 1
