"""A host's memory blocks, looked at again and again: what has changed is read, not all.

A terabyte has 8,192 blocks of 128 MiB, each with a file of its own that says whether it is
online.  What they were at the last look is kept.  All of a node are read again where its zones
have other pages than they had, for onlining and offlining change these; where blocks came,
those; else some in turn.  Who is told of a block (uevents) says so by `forget`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from pghot.linux.host import Host
from pghot.linux.nodes.pfns import BLOCKS, Blocks, block_state, blocks_from
from pghot.linux.nodes.zoneinfo import ZoneInfo

IN_TURN = 512
"""Blocks of a node whose state is read again though nothing says that it has changed."""

Extents = tuple[tuple[int, int, int], ...]
"""Of each zone of a node: its first page, the pages it spans, and those present."""


@dataclass(slots=True)
class _Node:
    """What is known of a node: of each block by name its number, and whether it is online."""

    extents: Extents = ()
    blocks: dict[str, tuple[int, bool]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    found: Blocks | None = None


class MemoryBlocks:
    """The blocks of one host, by node; `of` gives what `pfns.node_blocks` does."""

    def __init__(self) -> None:
        self._nodes: dict[int, _Node] = {}
        self._forgotten: set[str] = set()

    def forget(self, names: Iterable[str]) -> None:
        """Have blocks (`memory32`) read again at the next look: they came, or changed."""
        self._forgotten.update(names)

    def of(self, host: Host, nid: int, zones: Iterable[ZoneInfo], page_size: int) -> Blocks | None:
        """The node's blocks, or None where the host does not tell of any."""
        names = _block_names(host, nid)
        if not names or not host.exists(f"{BLOCKS}/block_size_bytes"):
            return None
        node = self._nodes.setdefault(nid, _Node())
        extents = tuple(
            (zone.start_pfn, zone.spanned, zone.present) for zone in zones if zone.node == nid
        )
        stale = self._stale(node, names, extents)
        if self._read(host, node, stale) or node.blocks.keys() != names:
            node.blocks = {name: node.blocks[name] for name in names}
            node.found = None
        self._forgotten -= stale
        if extents != node.extents or node.found is None:
            node.extents = extents
            node.found = blocks_from(host, node.blocks.values(), page_size)
        return node.found

    def _stale(self, node: _Node, names: set[str], extents: Extents) -> set[str]:
        """The blocks that have to be read."""
        if extents != node.extents:
            return names
        if not node.waiting:
            node.waiting = list(node.blocks)
        turn, node.waiting = node.waiting[:IN_TURN], node.waiting[IN_TURN:]
        return names & ({*turn} | self._forgotten | names - node.blocks.keys())

    def _read(self, host: Host, node: _Node, names: Iterable[str]) -> bool:
        """Read blocks; whether any is other than it was."""
        changed = False
        for name in names:
            state = block_state(host, name)
            changed |= node.blocks.get(name) != state
            node.blocks[name] = state
        return changed


def _block_names(host: Host, nid: int) -> set[str]:
    try:
        with os.scandir(host.path(f"/sys/devices/system/node/node{nid}")) as entries:
            names = [entry.name for entry in entries]
    except OSError:  # the node has gone meanwhile
        return set()
    return {name for name in names if name.startswith("memory") and name[6:].isdecimal()}
