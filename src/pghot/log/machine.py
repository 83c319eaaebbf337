"""The machine file (R8): TOML in, nodes and folios out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pghot.engine.lists import format_list, parse_list
from pghot.engine.memory import Folio, Node
from pghot.engine.pfn_ranges import PfnRange
from pghot.engine.sizes import parse_size
from pghot.engine.units import HZ_RANGE, NID_MAX, PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.tables import convert_tables, read_toml

MAX_PFN = 1 << 40
"""PFNs end here: 52 bits of physical address in 4 KiB pages."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_PFN)]


class _NodeTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    id: Annotated[int, msgspec.Meta(ge=0, le=NID_MAX)]
    start_pfn: _Count | None = None
    pages: _Count | None = None
    size: str | None = None
    ranges: list[tuple[_Count, _Count]] | None = None
    toptier: bool | None = None
    tier: int | None = None
    cpus: str = ""
    free_pages: _Count = 0
    promo_wmark: _Count = 0
    latency_ns: Annotated[float, msgspec.Meta(gt=0, lt=1e9)] | None = None


class _FolioTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    pfn: _Count
    pages: Annotated[int, msgspec.Meta(ge=1, le=MAX_PFN)] = 1
    memcg: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 0
    lru: bool = True


class _MachineFile(msgspec.Struct, forbid_unknown_fields=True):
    node: Annotated[list[_NodeTable], msgspec.Meta(min_length=1)]
    hz: int = 1000
    folio: list[_FolioTable] = []


@dataclass(frozen=True, slots=True)
class Machine:
    """Nodes in id order, special folios in PFN order, and jiffies a second.

    `latency_ns`: of a read from a node's memory, by node id, where it is known.
    """

    nodes: tuple[Node, ...]
    folios: tuple[Folio, ...] = ()
    hz: int = 1000
    latency_ns: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | str) -> Machine:
        """Read a machine file; InputError with one line where it is not one."""
        return cls.from_dict(read_toml(path), str(path))

    @classmethod
    def from_dict(cls, data: dict[str, Any], name: str = "machine") -> Machine:
        """Check the content of a machine file; `name` opens the line of an InputError."""
        parsed = convert_tables(data, _MachineFile, name)
        try:
            return cls._checked(parsed)
        except ValueError as error:
            raise InputError(f"{name}: {error}") from error

    @classmethod
    def _checked(cls, parsed: _MachineFile) -> Machine:
        if parsed.hz not in HZ_RANGE:
            raise ValueError(f"hz = {parsed.hz}: wants {HZ_RANGE.start} to {HZ_RANGE.stop - 1}")
        for number, table in enumerate(parsed.node, 1):
            if table.start_pfn is None and table.ranges is None:
                raise ValueError(f"[[node]] no. {number}: missing key 'start_pfn'")
        toptier = _top_tier(parsed.node)
        nodes = sorted(
            (_node(table, toptier[table.id]) for table in parsed.node), key=lambda node: node.id
        )
        _check_nodes(nodes)
        folios = sorted((_folio(table) for table in parsed.folio), key=lambda folio: folio.pfn)
        _check_folios(folios, nodes)
        latency_ns = {
            table.id: table.latency_ns for table in parsed.node if table.latency_ns is not None
        }
        return cls(tuple(nodes), tuple(folios), parsed.hz, latency_ns)

    def to_dict(self) -> dict[str, Any]:
        """The content of a machine file that reads back as this machine."""
        return {
            "hz": self.hz,
            "node": [
                {
                    "id": node.id,
                    **_where(node),
                    "toptier": node.toptier,
                    "cpus": format_list(node.cpus),
                    "free_pages": node.free_pages,
                    "promo_wmark": node.promo_wmark,
                    **(
                        {"latency_ns": self.latency_ns[node.id]}
                        if node.id in self.latency_ns
                        else {}
                    ),
                }
                for node in self.nodes
            ],
            "folio": [
                {"pfn": folio.pfn, "pages": folio.pages, "memcg": folio.memcg, "lru": folio.lru}
                for folio in self.folios
            ],
        }


def _top_tier(tables: list[_NodeTable]) -> dict[int, bool]:
    """Of each node whether it is top tier.

    As the kernel's node_is_toptier(): every tier at or above the slowest one that has CPUs
    (mm/memory-tiers.c); where no node has CPUs, the fastest tier.
    """
    for table in tables:
        if table.toptier is not None and table.tier is not None:
            raise ValueError(f"node {table.id}: give toptier or tier, not both")
    tiers = [table.tier for table in tables if table.tier is not None]
    if not tiers:
        return {t.id: bool(t.cpus) if t.toptier is None else t.toptier for t in tables}
    with_cpus = [t.tier for t in tables if t.tier is not None and t.cpus.strip()]
    slowest_top = max(with_cpus) if with_cpus else min(tiers)
    return {t.id: bool(t.toptier) if t.tier is None else t.tier <= slowest_top for t in tables}


def _node(table: _NodeTable, toptier: bool) -> Node:
    where = f"node {table.id}"
    ranges = [_one_range(table)] if table.ranges is None else _any_ranges(table)
    try:
        cpus = parse_list(table.cpus)
    except ValueError as error:
        raise ValueError(f"{where}: cpus {error}") from error
    more: dict[str, Any] = {"toptier": toptier, "cpus": cpus, "promo_wmark": table.promo_wmark}
    if table.ranges is None:
        node = Node(table.id, ranges[0].start, ranges[0].pages, **more)
    else:
        node = Node.of_ranges(table.id, ranges, **more)
    if table.free_pages > node.pages:
        raise ValueError(f"{where}: free_pages {table.free_pages} of {node.pages} pages")
    return replace(node, free_pages=table.free_pages)


def _one_range(table: _NodeTable) -> PfnRange:
    """The whole sections of `start_pfn` and `pages` or `size`."""
    where, start = f"node {table.id}", table.start_pfn or 0
    if (table.pages is None) == (table.size is None):
        raise ValueError(f"{where}: give pages or size, one of them")
    try:
        size = parse_size(table.size) if table.size is not None else 0
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    pages = size >> PAGE_SHIFT if table.pages is None else table.pages
    for what, value in ("start_pfn", start), ("pages", pages):
        if value % PAGES_PER_SECTION:
            raise ValueError(
                f"{where}: {what} {value} is no multiple of a section ({PAGES_PER_SECTION} pages)"
            )
    if table.size is not None and pages << PAGE_SHIFT != size:
        raise ValueError(f"{where}: size {table.size} is no whole number of sections (128 MiB)")
    if start + pages > MAX_PFN:
        raise ValueError(f"{where}: ends above PFN {MAX_PFN}, the most that hardware addresses")
    return PfnRange(start, start + pages)


def _any_ranges(table: _NodeTable) -> list[PfnRange]:
    """The ranges of `ranges`, whose order `Node` checks."""
    where = f"node {table.id}"
    if (table.start_pfn, table.pages, table.size) != (None, None, None):
        raise ValueError(f"{where}: give ranges, or start_pfn with pages or size, not both")
    if not table.ranges:
        raise ValueError(f"{where}: ranges has none; a node without memory has pages = 0")
    return [PfnRange(*one) for one in table.ranges]


def _where(node: Node) -> dict[str, Any]:
    """The keys that say which PFNs are a node's: those of old where they can."""
    if len(node.ranges) > 1 or (node.start_pfn | node.pages) % PAGES_PER_SECTION:
        return {"ranges": [[*one] for one in node.ranges]}
    return {"start_pfn": node.start_pfn, "pages": node.pages}


def _check_nodes(nodes: list[Node]) -> None:
    ids = [node.id for node in nodes]
    for nid in ids:
        if ids.count(nid) > 1:
            raise ValueError(f"node {nid} is given twice")
    cpus = [cpu for node in nodes for cpu in node.cpus]
    if len(set(cpus)) < len(cpus):
        twice = next(cpu for cpu in cpus if cpus.count(cpu) > 1)
        raise ValueError(f"CPU {twice} is on two nodes")
    by_pfn = _by_pfn(nodes)
    for (low, one), (high, other) in pairwise(by_pfn):
        if other.start < one.end:
            raise ValueError(
                f"nodes {low} and {high} overlap from PFN {other.start} on: {one} and {other}"
            )
        section = other.start // PAGES_PER_SECTION
        if low != high and (one.end - 1) // PAGES_PER_SECTION == section:
            raise ValueError(
                f"nodes {low} and {high}: {one} and {other} share the section at PFN "
                f"{section * PAGES_PER_SECTION}; a section is one node's"
            )


def _by_pfn(nodes: list[Node]) -> list[tuple[int, PfnRange]]:
    """Every range with its node's id, the lowest in memory first."""
    pairs = [(node.id, one) for node in nodes for one in node.ranges]
    return sorted(pairs, key=lambda pair: pair[1])


def _folio(table: _FolioTable) -> Folio:
    return Folio(table.pfn, table.pages, table.memcg, table.lru)


def _check_folios(folios: list[Folio], nodes: list[Node]) -> None:
    ranges = [one for _nid, one in _by_pfn(nodes)]
    at = 0
    last_end = 0
    for folio in folios:
        end = folio.pfn + folio.pages
        while at < len(ranges) and ranges[at].end <= folio.pfn:
            at += 1
        if at == len(ranges) or folio.pfn < ranges[at].start or end > ranges[at].end:
            raise ValueError(f"folio at PFN {folio.pfn}: not within one node")
        if folio.pfn < last_end:
            raise ValueError(f"folio at PFN {folio.pfn}: overlaps the folio before it")
        last_end = end
