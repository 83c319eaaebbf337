"""What the demo says of the machine it runs on."""

from __future__ import annotations

from pghot.cli.demo import live_hint
from pghot.linux.host import Host
from tests.linux import host_trees


def test_where_there_is_a_slow_node_the_demo_says_that_run_is_there(tmp_path):
    (line,) = live_hint(host_trees.host(host_trees.two_tier, tmp_path))
    assert "sudo pghot run" in line


def test_where_all_memory_is_alike_it_says_nothing(tmp_path):
    assert live_hint(host_trees.host(host_trees.plain, tmp_path)) == []


def test_where_sysfs_shows_nothing_it_says_nothing(tmp_path):
    assert live_hint(Host(tmp_path)) == []
