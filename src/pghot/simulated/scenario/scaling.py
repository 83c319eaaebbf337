"""A slice of a scenario's machine: fewer pages, less bandwidth, the same times.

At scale S there is S times as much of everything that there is an amount of, and each
access takes 1/S as long, so that what takes a second in full takes a second in the slice.
What a single event costs grows with the time of an access: there are S times as many.
"""

from __future__ import annotations

from dataclasses import fields
from math import sqrt
from typing import Any, TypeVar

import msgspec

from pghot.engine.sizes import format_size, parse_size
from pghot.engine.tunables import dointvec, kstrtouint
from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.simulated.machine.costs import Costs
from pghot.simulated.machine.link_kinds import kind
from pghot.simulated.machine.watermarks import watermarks
from pghot.simulated.scenario.scenario import (
    EventTable,
    LinkTable,
    NodeTable,
    PublishedTable,
    RegionTable,
    Scenario,
    ThreadsTable,
)
from pghot.workloads import make

HUGE_SHIFT = PAGE_SHIFT + 9
RATE_LIMITS = ("pghot_promote_rate_limit_MBps", "numa_balancing_promote_rate_limit_MBps")
DEFAULT_RATE_LIMIT_MB = 65536
BATCH, DEFAULT_BATCH = "kmigrated_batch_nr", 512
AS_OFTEN = ("kmigrated_wake_us", "scanner_step_us", "drain_delay_us")
"""Costs of what a slice does as often as the whole, and a delay."""

_BANDWIDTHS = ("read_GBps", "write_GBps", "total_GBps")
_Table = TypeVar("_Table", bound=msgspec.Struct)


def scaled(scenario: Scenario, scale: float) -> Scenario:
    """A slice of the scenario; 1 gives it back.  InputError where nothing is left.

    Published counters are scaled as well: they are compared with what the slice gives.
    """
    if not 0 < scale <= 1:
        raise InputError(f"--scale {scale:g}: wants more than 0 and at most 1")
    if scale == 1:
        return scenario
    sampler, scanner = scenario.sampler, scenario.scanner
    return msgspec.structs.replace(
        scenario,
        node=_nodes(scenario.node, scale),
        link=[_link(link, scale) for link in scenario.link],
        region=[_region(region, scale) for region in scenario.region],
        threads=[_threads(threads, scale) for threads in scenario.threads],
        event=[_event(event, scale) for event in scenario.event],
        tunables=_tunables(scenario.tunables, scale),
        scanner=_replace(scanner, scale=scanner.scale * scale),
        sampler=_replace(sampler, pace_hz=_times(sampler.pace_hz, scale)),
        costs=_costs(scenario.costs, scale),
        published={name: _published(p, scale) for name, p in scenario.published.items()},
    )


def _nodes(nodes: list[NodeTable], scale: float) -> list[NodeTable]:
    """Nodes whose marks are those of the whole machine, scaled.

    The kernel's own marks would not do: they grow with the root of the memory.
    """
    pages = [parse_size(node.size) >> PAGE_SHIFT for node in nodes]
    slices = []
    for node, size in zip(nodes, pages, strict=True):
        known = watermarks(size, sum(pages))._asdict()
        own = {name: getattr(node, f"{name}_wmark") for name in known}
        marks = {
            f"{name}_wmark": round((mark if own[name] is None else own[name]) * scale)
            for name, mark in known.items()
        }
        left = _size(f"node {node.id}", node.size, HUGE_SHIFT, scale)
        slices.append(_replace(node, size=left, **marks))
    return slices


def _region(region: RegionTable, scale: float) -> RegionTable:
    shift = PAGE_SHIFT + region.order
    return _replace(region, size=_size(f"region {region.name}", region.size, shift, scale))


def _link(link: LinkTable, scale: float) -> LinkTable:
    known = kind(link.kind) if link.kind else None
    widths = {}
    for name in _BANDWIDTHS:
        own = getattr(link, name)
        widths[name] = _times(own if own is not None else getattr(known, name, None), scale)
    return _replace(link, **widths)


def _threads(threads: ThreadsTable, scale: float) -> ThreadsTable:
    accesses = threads.accesses
    if threads.stream.get("kind") == "log":
        raise InputError(f"--scale {scale:g}: threads {threads.name} take the accesses of a log")
    return _replace(
        threads,
        accesses=None if accesses is None else max(round(accesses * scale), 1),
        mlp=threads.mlp * scale,
        think_ns=threads.think_ns / scale,
        stream=make.scaled(threads.stream, scale),
    )


def _event(event: EventTable, scale: float) -> EventTable:
    if event.name is None or event.value is None:
        return event
    if event.name in RATE_LIMITS:
        return _replace(event, value=_rate_limit(event.value, scale))
    if event.name == BATCH:
        return _replace(event, value=_batch(event.value, scale))
    return event


def _tunables(tunables: dict[str, str], scale: float) -> dict[str, str]:
    named = [name for name in RATE_LIMITS if name in tunables] or [RATE_LIMITS[0]]
    limits = {
        name: _rate_limit(tunables.get(name, str(DEFAULT_RATE_LIMIT_MB)), scale) for name in named
    }
    return tunables | limits | {BATCH: _batch(tunables.get(BATCH, str(DEFAULT_BATCH)), scale)}


def _rate_limit(text: str, scale: float) -> str:
    limit = dointvec(text)
    return str(max(round(limit * scale), 1) if limit else 0)


def _batch(text: str, scale: float) -> str:
    """Have threads wait as long for pages under way, all batches together.

    A batch of b folios is out of reach for a time of b/S, and is hit in it by b/S accesses;
    S/b batches make b/S, which the root of S keeps at what it is in full.
    """
    return str(max(round(kstrtouint(text, 0) * sqrt(scale)), 1))


def _costs(costs: dict[str, float], scale: float) -> dict[str, float]:
    """Have each event cost 1/S: paces are slowed, times are stretched."""
    known = {field.name: getattr(Costs(), field.name) for field in fields(Costs)} | costs
    for name, value in known.items():
        if name == "kmigrated_batch_us":
            known[name] = value / sqrt(scale)  # as there are fewer of them
        elif name not in AS_OFTEN:
            known[name] = value * scale if name.endswith("GBps") else value / scale
    return known


def _published(published: PublishedTable, scale: float) -> PublishedTable:
    counters = {name: round(count * scale) for name, count in published.counters.items()}
    return _replace(published, counters=counters)


def _size(what: str, size: str, shift: int, scale: float) -> str:
    scaled_size = round(parse_size(size) * scale / (1 << shift)) << shift
    if not scaled_size:
        raise InputError(
            f"--scale {scale:g}: nothing is left of {what}, {size}; take a larger one"
        )
    return format_size(scaled_size)


def _times(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _replace(table: _Table, **changes: Any) -> _Table:
    return msgspec.structs.replace(table, **changes)
