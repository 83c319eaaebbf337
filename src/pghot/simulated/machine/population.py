"""What a scenario fills its machine with: regions, their streams, and threads on CPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np

from pghot.errors import InputError
from pghot.simulated.groups import Group
from pghot.simulated.machine.frames import NONE
from pghot.simulated.machine.layout import folio_flags, folios_of
from pghot.simulated.machine.memory import SimulatedMemory
from pghot.simulated.machine.regions import FolioRegion, StreamCursor
from pghot.simulated.scenario.scenario import Scenario, ThreadsTable
from pghot.workloads.log_times import read_schedule
from pghot.workloads.make import make_stream


def make_regions(
    scenario: Scenario, memory: SimulatedMemory, rng: np.random.Generator
) -> dict[str, FolioRegion]:
    """The regions by name, in the order of their folios; none has frames yet."""
    regions = {}
    for table in scenario.region:
        count, pages = folios_of(table)
        first = memory.add_folios(count, pages, table.memcg, folio_flags(table, count, rng))
        regions[table.name] = FolioRegion(
            table.name, table.process, first, count, pages, table.shared_executable
        )
    return regions


def make_groups(
    scenario: Scenario,
    memory: SimulatedMemory,
    regions: Mapping[str, FolioRegion],
    rngs: Sequence[np.random.Generator],
) -> list[Group]:
    """The groups of threads, each thread on the next free CPU of its node."""
    flows: dict[str, StreamCursor] = {}
    taken: dict[int, int] = {}
    groups = []
    for table, rng in zip(scenario.threads, rngs, strict=True):
        region = regions[table.region]
        if table.stream_of is None:
            flows[table.name] = _flow(table, region, rng)
        flow = flows[table.stream_of or table.name]
        cpus = memory.all[table.node].cpus
        first = taken.get(table.node, 0)
        taken[table.node] = first + table.count
        if taken[table.node] > len(cpus):
            raise InputError(
                f"threads {table.name}: node {table.node} has {len(cpus)} CPUs, "
                f"and {taken[table.node]} threads are bound to them"
            )
        accesses = inf if table.accesses is None else float(table.accesses) * table.count
        groups.append(Group(table, region, flow, cpus[first : first + table.count], accesses))
    return groups


def allocate(
    memory: SimulatedMemory, region: FolioRegion, place: Sequence[int], *, interleave: bool
) -> None:
    """A region its frames on the nodes of `place`, or InputError where they are full.

    As the page allocator does: each node down to its low mark, in their order or dealt out
    in turn; where all are there, kswapd is woken, and each gives down to its min mark.
    """
    place = [nid for nid in place if memory.node_online(nid)]
    left = region.everything
    if interleave:
        for at, nid in enumerate(place):
            memory.allocate(left[at :: len(place)], nid, memory.all[nid].wmark.low)
        left = left[memory.folios.nid[left] == NONE]
    for nid in place:
        left = left[~memory.allocate(left, nid, memory.all[nid].wmark.low)]
    if len(left):
        memory.short.update(place)
    for nid in place:
        left = left[~memory.allocate(left, nid, memory.all[nid].wmark.min)]
    if len(left):
        raise InputError(f"region {region.name}: its nodes have no room for it")
    region.allocated = True


def _flow(table: ThreadsTable, region: FolioRegion, rng: np.random.Generator) -> StreamCursor:
    options = dict(table.stream)
    kind = options.pop("kind", "uniform")
    schedule = read_schedule(str(options.get("path", ""))) if table.paced else None
    flow = StreamCursor(table.name, make_stream(kind, region.folios, options, rng), schedule)
    region.flows.append(flow)
    return flow
