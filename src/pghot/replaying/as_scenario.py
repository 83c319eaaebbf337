"""A log and its machine as a scenario: what is simulated is the accesses that were logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pghot.baselines.folios import BoolArray, FirstTouches, placed_fast
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.lists import format_list
from pghot.engine.memory import Node
from pghot.engine.sizes import format_size
from pghot.engine.units import PAGE_SHIFT, USEC_PER_SEC
from pghot.errors import InputError
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import open_log
from pghot.log.schema import Columns
from pghot.replaying.replay import machine_of, name_of
from pghot.replaying.served import touches_of
from pghot.results.provenance import LogFacts, digest
from pghot.simulated.machine.watermarks import Watermarks, watermarks
from pghot.simulated.scenario.scenario import (
    LinkTable,
    NodeTable,
    RegionTable,
    Scenario,
    ThreadsTable,
)

NAME = "log"
"""Of the region and the threads."""

LAGGING = 50.0
"""A simulation that takes so many times the log's span is ended."""


def scenario_of_log(
    path: Path, machine: Machine | Path | None, *, closed_loop: bool = False
) -> tuple[Scenario, LogFacts]:
    """The scenario that a log drives on a machine, and the facts of the log.

    Pages begin by first touch: in the room that the machine's top tier has free and that the
    log's pages hold of it.  Accesses come at the log's times, or with `closed_loop` each
    after the one before.  InputError for a log or machine that cannot be used.
    """
    with open_log(path) as log:
        known = machine_of(log, machine)
        check = RowCheck(log.path, known, ragged=log.ragged)
        last_us = log.last_us()
        times = _Times()
        chunks = times.of(map(check.good_rows, log.chunks()))
        touches = touches_of(chunks, last_us)
        name = name_of(machine, log) or "machine"
        taken_by = log.metadata.taken_by if log.metadata else ""
    memory = ArrayMemory(known.nodes, known.folios)
    touched = touches.touched()
    if not len(touched):
        raise InputError(f"{path}: has no row to take accesses from")
    span_s = times.span_us / USEC_PER_SEC
    fast = placed_fast(touched, memory.mem_map, known.nodes)
    cpus = _cpu_node(known, name)
    scenario = Scenario(
        title=f"{path.name} on {Path(name).name}",
        shows="The accesses of a log.",
        node=[_node(node, touched, fast, memory) for node in known.nodes if node.pages],
        link=[_link(cpus, node, known) for node in known.nodes if node.pages],
        region=[_region(touched, known)],
        threads=[
            ThreadsTable(
                name=NAME, count=len(cpus.cpus), node=cpus.id, region=NAME,
                stream={"kind": "log", "path": str(path), "wraps": False},
                paced=not closed_loop,
            )
        ],
        seconds=max(span_s, 1.0) * LAGGING,
        hz=known.hz,
        demotion=True,
    )  # fmt: skip
    facts = LogFacts(str(path), digest(path), int(touched.accesses.sum()), span_s, taken_by)
    return scenario, facts


class _Times:
    """Notes from when to when rows are, as they come by."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0

    def of(self, chunks: Iterable[Columns]) -> Iterator[Columns]:
        """The rows on."""
        for columns in chunks:
            if len(columns["time_us"]):
                self._last = int(columns["time_us"][-1])
                self._first = int(columns["time_us"][0]) if self._first is None else self._first
            yield columns

    @property
    def span_us(self) -> int:
        """Microseconds from the first row to the last."""
        return self._last - (self._first or 0)


def _cpu_node(machine: Machine, name: str) -> Node:
    """The node whose CPUs make the accesses: the first that has some, the fast before."""
    having = sorted((n for n in machine.nodes if n.cpus), key=lambda n: not n.toptier)
    if not having:
        raise InputError(f'{name}: no node has CPUs that could access memory: cpus = "0-3"')
    return having[0]


def _node(node: Node, touched: FirstTouches, fast: BoolArray, memory: ArrayMemory) -> NodeTable:
    """A node: of the top tier what is free or the log's; of others all there is."""
    own = fast & (memory.mem_map.nids_of(touched.pfn) == node.id)
    pages = node.free_pages + int(touched.pages[own].sum()) if node.toptier else node.pages
    pages = max(pages, 1)
    marks = watermarks(pages, pages)
    if node.promo_wmark:
        promo = min(node.promo_wmark, pages)
        marks = Watermarks(*(mark * promo // max(marks.promo, 1) for mark in marks))
    return NodeTable(
        id=node.id, size=format_size(pages << PAGE_SHIFT), toptier=node.toptier,
        cpus=format_list(node.cpus), min_wmark=marks.min, low_wmark=marks.low,
        high_wmark=marks.high, promo_wmark=marks.promo,
    )  # fmt: skip


def _link(cpus: Node, node: Node, machine: Machine) -> LinkTable:
    """The way to a node: DRAM, the other socket's, or CXL, with the machine's latency."""
    kind = "ddr" if node.id == cpus.id else "remote-socket" if node.toptier else "cxl-x8-ocp"
    latency = machine.latency_ns.get(node.id)
    return LinkTable(
        cpus=[cpus.id], memory=node.id, kind=kind, read_latency_ns=latency,
        write_latency_ns=latency, distance=10 if node.id == cpus.id else 50,
    )  # fmt: skip


def _region(touched: FirstTouches, machine: Machine) -> RegionTable:
    tops = [node.id for node in machine.nodes if node.toptier and node.pages]
    lower = [node.id for node in machine.nodes if not node.toptier and node.pages]
    size = format_size(len(touched) << PAGE_SHIFT)
    return RegionTable(name=NAME, size=size, place=[*tops, *lower], process=NAME)
