"""Memory blocks at every look but the first: as a full reading has them, for fewer files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.engine.pfn_ranges import PfnRange
from pghot.linux.host import Host
from pghot.linux.nodes.memory_blocks import IN_TURN, MemoryBlocks
from pghot.linux.nodes.pfns import node_ranges
from pghot.linux.nodes.topology import read_topology
from pghot.linux.nodes.zoneinfo import read_zoneinfo
from tests.linux.host_trees import SECTION, N, Z, write, write_nodes

BLOCK = "/sys/devices/system/memory"


def tree(root: Path, blocks: int) -> tuple[N, N]:
    """A host with a fast node and a slow one of so many blocks of 128 MiB."""
    write(root, f"{BLOCK}/block_size_bytes", f"{SECTION * 4096:x}")
    fast = N(0, "0-1", "10 50", (Z("DMA32", SECTION, 7 * SECTION),), tuple(range(1, 8)))
    slow_blocks = tuple(range(32, 32 + blocks))
    slow = N(1, "", "50 10", (Z("Normal", 32 * SECTION, blocks * SECTION),), slow_blocks)
    write_nodes(root, (fast, slow), {4: "0", 112: "1"})
    return fast, slow


class Counting(Host):
    """A host that counts how many files of blocks are read."""

    reads = 0

    def text(self, name: str) -> str:
        self.reads += name.startswith(f"{BLOCK}/memory")
        return super().text(name)


@pytest.fixture
def host(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


def look(host: Host, blocks: MemoryBlocks) -> tuple[PfnRange, ...]:
    """The slow node's PFNs."""
    topology = read_topology(host, blocks_of=blocks.of)
    node = topology.node(1)
    assert node is not None
    return node.pfns


def test_a_host_that_has_not_changed_is_looked_at_for_a_few_reads(host: Counting) -> None:
    tree(host.root, 4 * IN_TURN)
    blocks = MemoryBlocks()
    first = look(host, blocks)
    assert first == (PfnRange(32 * SECTION, (32 + 4 * IN_TURN) * SECTION),)
    host.reads = 0
    assert look(host, blocks) == first
    assert host.reads <= 2 * (IN_TURN + 7)


def test_a_block_that_goes_offline_takes_its_pages_along_at_the_next_look(
    host: Counting,
) -> None:
    fast, slow = tree(host.root, 3 * IN_TURN)
    blocks = MemoryBlocks()
    look(host, blocks)
    last = slow.blocks[-1]
    zone = replace(slow.zones[0], present=(3 * IN_TURN - 1) * SECTION)
    changed = replace(slow, zones=(zone,), blocks=slow.blocks[:-1], offline=(last,))
    write_nodes(host.root, (fast, changed), {4: "0", 112: "1"})
    assert look(host, blocks) == (PfnRange(32 * SECTION, last * SECTION),)


def test_a_block_that_a_uevent_names_is_read_at_once_and_any_other_in_turn(
    host: Counting,
) -> None:
    _, slow = tree(host.root, 3 * IN_TURN)
    blocks = MemoryBlocks()
    look(host, blocks)
    one, other = slow.blocks[-1], slow.blocks[-3]
    for number in (one, other):  # as many came elsewhere: the zone has what it had
        write(host.root, f"{BLOCK}/memory{number}/state", "offline")
    blocks.forget({f"memory{one}"})
    found = look(host, blocks)
    assert found[-1].end == one * SECTION
    for _ in range(4):
        found = look(host, blocks)
    assert PfnRange((other + 1) * SECTION, one * SECTION) in found


def test_blocks_that_come_below_the_first_are_taken_in(host: Counting) -> None:
    fast, slow = tree(host.root, 8)
    blocks = MemoryBlocks()
    look(host, blocks)
    grown = replace(
        slow, zones=(Z("DMA32", 16 * SECTION, SECTION), *slow.zones), blocks=(16, *slow.blocks)
    )
    write_nodes(host.root, (fast, grown), {4: "0", 112: "1"})
    assert look(host, blocks) == (
        PfnRange(16 * SECTION, 17 * SECTION),
        PfnRange(32 * SECTION, 40 * SECTION),
    )


def test_a_host_without_memory_blocks_has_its_zones(host: Counting) -> None:
    slow = N(1, "", "50 10", (Z("Normal", 32 * SECTION, 4 * SECTION),))
    fast = N(0, "0-1", "10 50", (Z("DMA32", SECTION, SECTION),))
    write_nodes(host.root, (fast, slow), {4: "0", 112: "1"})
    assert look(host, MemoryBlocks()) == (PfnRange(32 * SECTION, 36 * SECTION),)


def test_a_node_that_goes_while_it_is_read_has_what_its_zones_said(host: Counting) -> None:
    tree(host.root, 4)
    blocks = MemoryBlocks()
    look(host, blocks)
    directory = host.path("/sys/devices/system/node/node1")
    directory.rename(directory.with_name("gone"))
    zones = read_zoneinfo(host)
    assert node_ranges(1, zones, blocks.of(host, 1, zones, 4096)) == (
        PfnRange(32 * SECTION, 36 * SECTION),
    )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(states=st.lists(st.sets(st.integers(32, 47)), min_size=1, max_size=4))
def test_where_zones_or_uevents_tell_a_look_finds_what_a_full_reading_finds(
    host: Counting, states
) -> None:
    fast, slow = tree(host.root, 16)
    blocks = MemoryBlocks()
    before: set[int] = set()
    for offline in states:
        zone = replace(slow.zones[0], present=(16 - len(offline)) * SECTION or 1)
        online = tuple(number for number in slow.blocks if number not in offline)
        write_nodes(
            host.root,
            (fast, replace(slow, zones=(zone,), blocks=online, offline=tuple(offline))),
            {4: "0", 112: "1"},
        )
        blocks.forget(f"memory{number}" for number in before ^ offline)
        before = set(offline)
        kept = read_topology(host, blocks_of=blocks.of)
        assert kept == read_topology(host)
