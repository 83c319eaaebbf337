"""A host as the machine of a log (R8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.pfn_ranges import PfnRange
from pghot.errors import PghotError
from pghot.linux.nodes.machine_form import machine_form
from pghot.linux.nodes.topology import NumaNode, Topology, read_topology
from pghot.log.machine import Machine
from tests.linux import host_trees as trees

ALL = [trees.plain, trees.two_tier, trees.cxl, trees.old, trees.arm64]
S = trees.SECTION


def node(nid: int, *spans: tuple[int, int], toptier: bool = True) -> NumaNode:
    pfns = tuple(PfnRange(*span) for span in spans)
    return NumaNode(nid, (), 1 << 30, 0, {}, pfns, (), None, None, toptier, "")


def spans(*nodes: NumaNode) -> tuple[dict[int, list[tuple[int, int]]], list[str]]:
    """Give the ranges of each node, in sections, and the notes."""
    form = machine_form(Topology(nodes, 4096, 250))
    machine = Machine.from_dict(form.content)
    assert {n.id: n.ranges for n in machine.nodes if n.ranges} == form.ranges
    ranges = {n.id: [(r.start // S, r.end // S) for r in n.ranges] for n in machine.nodes}
    return ranges, list(form.notes)


@pytest.mark.parametrize("make", ALL)
def test_every_host_makes_a_machine_file_that_reads_back(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    topology = read_topology(trees.host(make, tmp_path))
    machine = Machine.from_dict(machine_form(topology).content)
    assert [n.id for n in machine.nodes] == [n.id for n in topology.nodes]
    assert [n.toptier for n in machine.nodes] == [n.toptier for n in topology.nodes]
    assert [n.cpus for n in machine.nodes] == [n.cpus for n in topology.nodes]
    assert machine.to_dict() == machine_form(topology).content | {"folio": []}


def test_ranges_free_pages_and_watermarks(tmp_path: Path) -> None:
    form = machine_form(read_topology(trees.host(trees.two_tier, tmp_path)))
    assert form.content["hz"] == 250
    assert form.content["node"] == [
        {
            "id": 0, "start_pfn": 0, "pages": 262144, "toptier": True, "cpus": "0-1",
            "free_pages": 93000, "promo_wmark": 3090,
        },
        {
            "id": 1, "ranges": [[262144, 524288], [1048576, 1310720]], "toptier": False,
            "cpus": "", "free_pages": 450000, "promo_wmark": 8100,
        },
    ]  # fmt: skip
    assert form.notes == ()


def test_pages_of_64_kib_are_counted_as_4_kib(tmp_path: Path) -> None:
    first = machine_form(read_topology(trees.host(trees.arm64, tmp_path))).content["node"][0]
    assert first["start_pfn"] == 32768 * 16
    assert first["pages"] == 32768 * 16
    assert first["free_pages"] == 10000 * 16
    assert first["promo_wmark"] == 500 * 16


def test_what_the_host_does_not_tell_is_noted(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.old, tmp_path))
    form = machine_form(topology)
    assert form.content["hz"] == 1000
    assert form.notes == (
        "CONFIG_HZ is not known here: 1000 is taken",
        "node 0: this kernel shows no promo watermark: 0 is taken",
        "node 1: this kernel shows no promo watermark: 0 is taken",
    )
    assert machine_form(topology, hz=100).content["hz"] == 100


def test_ranges_are_rounded_out_to_sections() -> None:
    assert spans(node(0, (1, S + 1))) == ({0: [(0, 2)]}, [])


def test_sections_without_a_page_of_a_node_are_a_hole_in_it() -> None:
    assert spans(node(0, (0, S), (4 * S, 5 * S))) == ({0: [(0, 1), (4, 5)]}, [])


def test_a_hole_within_a_section_is_not_said() -> None:
    bios = node(0, (0, 0xA0), (0x100, 2 * S), (2 * S + 9, 3 * S))
    assert spans(bios) == ({0: [(0, 3)]}, [])


def test_a_node_without_memory_has_no_pages() -> None:
    found, _ = spans(node(0, (0, S)), dataclasses.replace(node(3), total_bytes=0))
    assert found == {0: [(0, 1)], 3: []}
    machine = Machine.from_dict(machine_form(Topology((node(0, (0, S)), node(3)), 4096)).content)
    assert ArrayMemory(machine.nodes).present_pages(3) == 0


def test_a_shared_section_goes_to_the_node_that_has_more_of_it() -> None:
    found, notes = spans(node(0, (0, S + 100)), node(1, (S + 100, 3 * S)))
    assert found == {0: [(0, 1)], 1: [(1, 3)]}
    assert notes == [
        "node 0: what it has of the section at PFN 32768 counts as node 1's, which has more of it"
    ]


def test_a_node_within_a_section_that_others_have_more_of_has_no_pages() -> None:
    found, notes = spans(
        node(0, (0, S + 9000)), node(1, (S + 9000, S + 18000)), node(2, (S + 18000, 3 * S))
    )
    assert found == {0: [(0, 1)], 1: [], 2: [(1, 3)]}
    assert len(notes) == 2


def test_nodes_in_any_order_of_ids() -> None:
    assert spans(node(0, (2 * S, 3 * S)), node(1, (0, 2 * S))) == (
        {0: [(2, 3)], 1: [(0, 2)]},
        [],
    )


def test_a_node_may_lie_on_both_sides_of_another() -> None:
    around = node(0, (0, S), (2 * S, 3 * S))
    assert spans(around, node(1, (S, 2 * S))) == ({0: [(0, 1), (2, 3)], 1: [(1, 2)]}, [])


def test_each_of_two_interleaved_nodes_gets_the_shared_sections_that_it_has_more_of() -> None:
    found, notes = spans(
        node(0, (0, S + 100), (3 * S - 100, 4 * S)),
        node(1, (S + 100, 3 * S - 100), (4 * S, 5 * S)),
    )
    assert found == {0: [(0, 1), (3, 4)], 1: [(1, 3), (4, 5)]}
    assert [note[:50] for note in notes] == [
        "node 0: what it has of the section at PFN 32768 co",
        "node 0: what it has of the section at PFN 65536 co",
    ]


def test_zones_that_overlap_where_no_memory_block_tells_whose_a_page_is_are_refused() -> None:
    with pytest.raises(PghotError, match=r"^nodes 0 and 1: the zones \[0, .*\) overlap"):
        machine_form(Topology((node(0, (0, 3 * S)), node(1, (S, 2 * S))), 4096, 250))
