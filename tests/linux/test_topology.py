"""What recorded hosts look like."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.engine.pfn_ranges import PfnRange
from pghot.errors import InputError, PghotError
from pghot.linux.nodes.hmat import Access
from pghot.linux.nodes.topology import Topology, read_topology
from tests.linux import host_trees as trees
from tests.linux import made_hosts

Make = Callable[[Path], None]
ALL = [trees.plain, trees.two_tier, trees.cxl, trees.old, trees.arm64]


def test_a_plain_machine_has_one_node_and_nothing_slow(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.plain, tmp_path))
    (node,) = topology.nodes
    assert (node.cpus, node.toptier, node.memory_tier, node.distances) == (
        (0, 1, 2, 3),
        True,
        4,
        {0: 10},
    )
    assert (topology.slow, topology.fast, topology.suggested_tiers) == ((), (0,), None)
    assert (topology.hz, topology.demotion, topology.page_size) == (250, False, 4096)


def test_a_hole_between_memory_blocks_is_no_memory(tmp_path: Path) -> None:
    (node,) = read_topology(trees.host(trees.plain, tmp_path)).nodes
    assert node.pfns == (PfnRange(1, 24 * 32768), PfnRange(1048576, 1310720))


def test_two_tiers_with_their_speeds(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.two_tier, tmp_path))
    fast, slow = topology.nodes
    assert (fast.toptier, slow.toptier) == (True, False)
    assert (fast.rank, slow.rank) == (0, 1)
    assert slow.why == "memory_tier112, below memory_tier4, the slowest with CPUs"
    assert slow.access0 == Access((0,), 400, 400, 20480, 20480)
    assert slow.access1 is None
    assert slow.total_bytes == 2 << 30
    assert slow.free_bytes == 1 << 30
    assert slow.pfns == (PfnRange(262144, 524288), PfnRange(1048576, 1310720))
    assert (topology.slow, topology.fast) == ((1,), (0,))


def test_a_speed_that_is_no_number_is_not_told(tmp_path: Path) -> None:
    host = trees.host(trees.two_tier, tmp_path)
    trees.remove(tmp_path, "/sys/devices/system/node/node1/access0/initiators/read_latency")
    node = read_topology(host).node(1)
    assert node
    assert node.access0 == Access((0,), None, 400, 20480, 20480)


def test_node_ids_may_have_holes(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.cxl, tmp_path))
    assert [node.id for node in topology.nodes] == [0, 1, 4, 5]
    node = topology.node(4)
    assert node
    assert node.distances == {0: 14, 1: 24, 4: 10, 5: 26}
    assert node.access1 == Access((0,), 255, 255, 30000, 30000)
    assert (topology.slow, topology.fast) == ((4, 5), (0, 1))
    assert topology.node(2) is None


def test_offline_blocks_are_no_memory(tmp_path: Path) -> None:
    node = read_topology(trees.host(trees.cxl, tmp_path)).node(5)
    assert node
    assert node.pfns == (PfnRange(36 << 18, 38 << 18),)


def test_an_old_kernel_has_no_tiers_no_blocks_and_no_promo_watermark(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.old, tmp_path))
    assert [node.toptier for node in topology.nodes] == [True, False]
    assert topology.nodes[1].why == "has no CPUs (this kernel shows no memory tiers)"
    assert topology.nodes[1].memory_tier is None
    assert topology.nodes[0].pfns == (PfnRange(4096, 262144),)
    assert (topology.hz, topology.demotion) == (None, None)


def test_pages_of_64_kib(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.arm64, tmp_path))
    assert (topology.page_size, topology.hz) == (65536, 100)
    assert topology.nodes[0].pfns == (PfnRange(32768, 65536),)
    assert topology.nodes[0].total_bytes == 2 << 30


def test_a_node_without_memory_is_a_node(tmp_path: Path) -> None:
    host = trees.host(trees.two_tier, tmp_path)
    trees.write(tmp_path, "/sys/devices/system/node/node2/cpulist", "2-3")
    trees.write(tmp_path, "/sys/devices/system/node/node2/distance", "20 60 10")
    node = read_topology(host).node(2)
    assert node
    assert (node.has_memory, node.cpus, node.pfns) == (False, (2, 3), ())
    assert node.why == "in no memory tier; has no memory"
    read_topology(host, "0/1")  # which need not name it


def test_tiers_of_the_user_win(tmp_path: Path) -> None:
    topology = read_topology(trees.host(trees.cxl, tmp_path), "0,4/1/5")
    assert [node.rank for node in topology.nodes] == [0, 1, 0, 2]
    assert [node.toptier for node in topology.nodes] == [True, False, True, False]
    assert topology.tiers == "0,4/1/5"
    assert topology.nodes[2].memory_tier == 22


def test_tiers_that_leave_a_node_out_are_refused_but_not_once_memory_was_added(
    tmp_path: Path,
) -> None:
    host = trees.host(trees.cxl, tmp_path)
    with pytest.raises(InputError, match="node 5 has memory and is not named"):
        read_topology(host, "0,1/4")
    grown = read_topology(host, "0,1/4", grown=True).node(5)
    assert grown
    assert (grown.rank, grown.toptier) == (2, False)


def test_a_node_that_may_come_can_be_named(tmp_path: Path) -> None:
    host = trees.host(trees.two_tier, tmp_path)
    trees.write(tmp_path, "/sys/devices/system/node/possible", "0-2")
    assert read_topology(host, "0/1,2").slow == (1,)


def test_where_the_kernel_sees_one_tier_the_override_is_suggested(tmp_path: Path) -> None:
    host = made_hosts.made("one_tier", tmp_path)
    topology = read_topology(host)
    assert topology.slow == ()
    assert topology.suggested_tiers == "0/1"
    assert read_topology(host, topology.suggested_tiers).slow == (1,)


def test_demotion_that_is_on(tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    trees.write(tmp_path, "/sys/kernel/mm/numa/demotion_enabled", "true")
    assert read_topology(host).demotion is True


def test_a_kernel_without_numa_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PghotError, match="no nodes; this kernel has no NUMA"):
        read_topology(trees.RecordedHost(tmp_path))


@pytest.mark.parametrize("make", ALL)
def test_a_topology_survives_json(make: Make, tmp_path: Path) -> None:
    topology = read_topology(trees.host(make, tmp_path))
    assert Topology.from_dict(json.loads(json.dumps(topology.to_dict()))) == topology


def test_what_is_no_topology_is_one_line() -> None:
    with pytest.raises(InputError, match=r"^topology: .*page_size"):
        Topology.from_dict({"nodes": []})


@pytest.mark.parametrize("damaged", [b"no gzip", b"\x1f\x8b\x08\x00torn"])
def test_a_damaged_config_is_passed_over(damaged: bytes, tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    trees.write(tmp_path, "/proc/config.gz", damaged)
    assert read_topology(host).hz == 250
