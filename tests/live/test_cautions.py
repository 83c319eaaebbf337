"""What a person is told of a host before a run."""

from __future__ import annotations

from pghot.linux.nodes.topology import DEMOTION, read_topology
from pghot.live.cautions import cautions
from pghot.sources.choose import Choice
from tests.linux import host_trees

HINTS, HARDWARE = Choice(("hintfault",), ""), Choice(("hwhint",), "")


def two_nodes(tiers, free):
    """A fast node of 8 GiB with so many pages free, a slow one, and the kernel's tiers."""

    def make(root):
        fast = host_trees.Z("Normal", 1 << 20, 1 << 21, free=free)
        slow = host_trees.Z("Movable", 1 << 22, 1 << 20)
        nodes = (
            host_trees.N(0, "0-1", "10 50", (fast,)),
            host_trees.N(1, "", "50 10", (slow,)),
        )
        host_trees.write_nodes(root, nodes, tiers)
        host_trees.write_kernel(root)
        host_trees.write(root, DEMOTION, "true")

    return make


def told(path, tiers, free=1000, *, choice=HINTS, given=None):
    host = host_trees.host(two_nodes(tiers, free), path)
    return cautions(host, read_topology(host, given), choice)


def test_demotion_that_is_off_is_told_for_a_full_node_then_stays_full(tmp_path):
    host = host_trees.host(two_nodes(APART, 1000), tmp_path)
    host_trees.write(host.root, DEMOTION, "false")
    for choice in (HINTS, HARDWARE):
        (line,) = cautions(host, read_topology(host), choice)
        assert line.startswith("demotion is off: once the fast node is full nothing more")


APART, TOGETHER = {4: "0", 22: "1"}, {4: "0-1"}


def test_a_fast_node_with_over_a_gibibyte_free_is_told_for_the_kernel_promotes_there(tmp_path):
    (line,) = told(tmp_path, APART, free=600_000)
    assert line.startswith("node 0: so much is free")
    assert "counted apart" in line


def test_a_fast_node_with_less_room_is_not(tmp_path):
    assert told(tmp_path, APART, free=200_000) == []


def test_a_node_that_is_slow_by_tiers_only_is_told_for_the_kernel_shows_no_hint_faults(tmp_path):
    (line,) = told(tmp_path, TOGETHER, given="0/1")
    assert line.startswith("node 1: slow by --tiers only")


def test_tiers_that_say_what_the_kernel_says_are_no_matter(tmp_path):
    assert told(tmp_path, APART, given="0/1") == []


def test_hardware_samples_alone_depend_on_neither(tmp_path):
    assert told(tmp_path, TOGETHER, free=600_000, choice=HARDWARE, given="0/1") == []
