"""A replay cares for the order of a node's pages alone: not for where its ranges lie."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.memory import Folio, Node
from pghot.errors import InputError
from pghot.log.machine import Machine
from pghot.log.schema import Metadata
from pghot.replaying.replay import replay
from tests.log.made import write_table
from tests.twin.cases import MODES, Case
from tests.twin.compare import seen_by_pghot
from tests.twin.engine import SECTION

TIB = (1 << 40) >> 12
FAST, SLOW, SLOWER = 0, 1, 2
SIZES = {FAST: 1, SLOW: 3, SLOWER: 2}
"""Sections of each node."""


def whole(rng: Random) -> Case:
    """Nodes of one range each, with folios within sections, and hot pages on all."""
    nodes, start = [], 0
    for nid, sections in SIZES.items():
        free = rng.choice((0, 20, SECTION)) if nid == FAST else 5
        nodes.append(Node(nid, start, sections * SECTION, nid == FAST, free_pages=free))
        start += sections * SECTION
    folios = [
        Folio(number * SECTION + at, rng.choice((1, 2, 3, 16)), rng.randrange(2))
        for number in range(start // SECTION)
        for at in sorted(rng.sample(range(0, SECTION, 16), 4))
    ]
    pool = [folio.pfn + rng.randrange(folio.pages) for folio in folios]
    pool += [rng.randrange(start) for _ in range(20)]
    times = sorted(rng.randrange(2_000_000) for _ in range(400))
    rows = tuple((t, rng.choice(pool), rng.choice((-1, FAST)), rng.randrange(2)) for t in times)
    machine = Machine(tuple(nodes), tuple(folios))
    return Case(rng.choice(MODES), machine, rows, {"kmigrated_batch_nr": rng.choice((0, 3, 512))})


def scattered(rng: Random, case: Case) -> tuple[Case, dict[int, int]]:
    """The same with the sections of all nodes among each other, and where each section went.

    A node's sections keep their order; small holes and such of a TiB come between.
    """
    owners = [nid for nid, sections in SIZES.items() for _ in range(sections)]
    coming = {nid: iter([at for at, owner in enumerate(owners) if owner == nid]) for nid in SIZES}
    went, at = {}, 0
    for nid in rng.sample(owners, len(owners)):
        at += rng.choice((0, 1, 3, TIB // SECTION))
        went[next(coming[nid])] = at
        at += 1
    nodes = tuple(
        Node.of_ranges(
            node.id,
            [
                (put(pfn, went), put(pfn, went) + SECTION)
                for pfn in range(node.start_pfn, node.end_pfn, SECTION)
            ],
            toptier=node.toptier,
            free_pages=node.free_pages,
        )
        for node in case.machine.nodes
    )
    folios = [replace(folio, pfn=put(folio.pfn, went)) for folio in case.machine.folios]
    folios.sort(key=lambda folio: folio.pfn)
    rows = tuple((t, put(pfn, went), nid, source) for t, pfn, nid, source in case.rows)
    return replace(case, machine=Machine(nodes, tuple(folios)), rows=rows), went


def put(pfn: int, went: dict[int, int]) -> int:
    return went[pfn // SECTION] * SECTION + pfn % SECTION


def moved(seen: dict[str, Any], went: dict[int, int]) -> dict[str, Any]:
    """What was seen, its PFNs and sections where they went."""
    return seen | {
        "promotions": [row._replace(pfn=put(row.pfn, went)) for row in seen["promotions"]],
        "records": sorted((put(pfn, went), record) for pfn, record in seen["records"]),
        "hot_sections": sorted(went[number] for number in seen["hot_sections"]),
    }


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1 << 48))
def test_nodes_in_ranges_among_each_other_behave_as_nodes_of_one_range(seed: int) -> None:
    rng = Random(seed)
    case = whole(rng)
    other, went = scattered(rng, case)
    assert seen_by_pghot(other) == moved(seen_by_pghot(case), went)


@pytest.mark.parametrize("seed", range(4))
def test_a_node_split_into_adjacent_ranges_replays_as_the_unsplit_node(seed: int) -> None:
    case = whole(Random(seed))
    split = []
    for node in case.machine.nodes:
        edges = [node.start_pfn, node.start_pfn + 100, node.end_pfn - SECTION, node.end_pfn]
        ranges = [one for one in itertools.pairwise(edges) if one[0] < one[1]]
        if node.pages == SECTION:
            ranges = [(edges[0], edges[1]), (edges[1], edges[3])]
        split.append(
            {
                "id": node.id,
                "ranges": ranges,
                "toptier": node.toptier,
                "free_pages": node.free_pages,
            }
        )
    machine = Machine.from_dict(case.machine.to_dict() | {"node": split})
    assert seen_by_pghot(replace(case, machine=machine)) == seen_by_pghot(case)


PC = {
    "node": [
        {
            "id": 0,
            "ranges": [[0, 0xA0], [0x100, SECTION], [2 * SECTION, 3 * SECTION]],
            "toptier": True,
            "free_pages": 100,
        },
        {"id": 1, "ranges": [[SECTION, 2 * SECTION], [4 * SECTION, 5 * SECTION - 9]]},
    ]
}
"""A machine with holes within sections, and nodes on both sides of each other."""


def log_of(tmp_path: Path, *pfns: int) -> Path:
    columns = {
        "time_us": range(len(pfns)),
        "pfn": pfns,
        "nid": [-1] * len(pfns),
        "source": [0] * len(pfns),
    }
    return write_table(tmp_path / "log.parquet", columns, Metadata(taken="a test", machine=PC))


@pytest.mark.parametrize("pfn", [0xA0, 0xFF, 3 * SECTION, 5 * SECTION - 9, 5 * SECTION, 1 << 39])
def test_a_pfn_in_a_hole_is_outside_the_machine(tmp_path: Path, pfn: int) -> None:
    log = log_of(tmp_path, 5, pfn)
    with pytest.raises(InputError, match=f"row 2, column pfn: {pfn}: no such PFN on this machine"):
        replay(log)


def test_the_pages_on_both_sides_of_a_hole_are_of_the_machine(tmp_path: Path) -> None:
    edges = [0, 0x9F, 0x100, SECTION - 1, 2 * SECTION, 3 * SECTION - 1]
    slow = [SECTION, 2 * SECTION - 1, 4 * SECTION, 5 * SECTION - 10]
    result = replay(log_of(tmp_path, *edges, *slow, *slow))
    assert result.skipped == 0
    assert result.pages_promoted == len(slow)


def test_engines_take_no_access_to_a_hole(tmp_path: Path) -> None:
    engine = replay(log_of(tmp_path, 5)).engine
    before = engine.vmstat["pghot_recorded_accesses"]
    hole, page = 5 * SECTION - 1, 5 * SECTION - 10
    engine.write("enabled_sources", "3")
    engine.record_many(np.array([hole, page], np.uint64), -1, 0, 7)
    assert engine.vmstat["pghot_recorded_accesses"] == before + 1
