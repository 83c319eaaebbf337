"""The machine file (replay.md, "Machine file"): TOML in, nodes and folios out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pghot.engine.lists import format_list, parse_list
from pghot.engine.memory import Folio, Node
from pghot.engine.sizes import parse_size
from pghot.engine.units import HZ_RANGE, NID_MAX, PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.tables import convert_tables, read_toml

MAX_PFN = 1 << 40
"""PFNs end here: 52 bits of physical address in 4 KiB pages."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_PFN)]


class _NodeTable(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    id: Annotated[int, msgspec.Meta(ge=0, le=NID_MAX)]
    start_pfn: _Count
    pages: _Count | None = None
    size: str | None = None
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
        """Give the content of a machine file that reads back as this machine."""
        return {
            "hz": self.hz,
            "node": [
                {
                    "id": node.id,
                    "start_pfn": node.start_pfn,
                    "pages": node.pages,
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
    """Say of each node whether it is top tier.

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
    if (table.pages is None) == (table.size is None):
        raise ValueError(f"{where}: give pages or size, one of them")
    try:
        size = parse_size(table.size) if table.size is not None else 0
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    try:
        cpus = parse_list(table.cpus)
    except ValueError as error:
        raise ValueError(f"{where}: cpus {error}") from error
    pages = size >> PAGE_SHIFT if table.pages is None else table.pages
    for what, value in ("start_pfn", table.start_pfn), ("pages", pages):
        if value % PAGES_PER_SECTION:
            raise ValueError(
                f"{where}: {what} {value} is no multiple of a section ({PAGES_PER_SECTION} pages)"
            )
    if table.size is not None and pages << PAGE_SHIFT != size:
        raise ValueError(f"{where}: size {table.size} is no whole number of sections (128 MiB)")
    if table.start_pfn + pages > MAX_PFN:
        raise ValueError(f"{where}: ends above PFN {MAX_PFN}, the most that hardware addresses")
    if table.free_pages > pages:
        raise ValueError(f"{where}: free_pages {table.free_pages} of {pages} pages")
    return Node(
        table.id, table.start_pfn, pages, toptier, cpus, table.free_pages, table.promo_wmark
    )


def _check_nodes(nodes: list[Node]) -> None:
    ids = [node.id for node in nodes]
    for nid in ids:
        if ids.count(nid) > 1:
            raise ValueError(f"node {nid} is given twice")
    cpus = [cpu for node in nodes for cpu in node.cpus]
    if len(set(cpus)) < len(cpus):
        twice = next(cpu for cpu in cpus if cpus.count(cpu) > 1)
        raise ValueError(f"CPU {twice} is on two nodes")
    by_pfn = sorted((node for node in nodes if node.pages), key=lambda node: node.start_pfn)
    for low, high in pairwise(by_pfn):
        if high.start_pfn < low.end_pfn:
            raise ValueError(f"nodes {low.id} and {high.id} overlap from PFN {high.start_pfn} on")


def _folio(table: _FolioTable) -> Folio:
    return Folio(table.pfn, table.pages, table.memcg, table.lru)


def _check_folios(folios: list[Folio], nodes: list[Node]) -> None:
    by_pfn = sorted(nodes, key=lambda node: node.start_pfn)
    at = 0
    last_end = 0
    for folio in folios:
        end = folio.pfn + folio.pages
        while at < len(by_pfn) and by_pfn[at].end_pfn <= folio.pfn:
            at += 1
        if at == len(by_pfn) or folio.pfn < by_pfn[at].start_pfn or end > by_pfn[at].end_pfn:
            raise ValueError(f"folio at PFN {folio.pfn}: not within one node")
        if folio.pfn < last_end:
            raise ValueError(f"folio at PFN {folio.pfn}: overlaps the folio before it")
        last_end = end
