import pytest

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.nodes.cpus import cpus_of_node, nodes_of_cpus, online_cpus
from tests.linux.perf_rig import machine, put


def test_cpus_are_on_the_nodes_that_list_them(tmp_path):
    host = Host(machine(tmp_path, "amd_zen4"))
    assert online_cpus(host) == (0, 1, 2, 3)
    assert nodes_of_cpus(host).tolist() == [0, 0, 1, 1]


def test_a_cpu_that_no_node_lists_is_on_none(tmp_path):
    put(tmp_path, "/sys/devices/system/node/node5/cpulist", "0,3")
    assert nodes_of_cpus(Host(tmp_path)).tolist() == [5, -1, -1, 5]


def test_without_numa_all_cpus_are_on_node_0(tmp_path):
    put(tmp_path, "/sys/devices/system/cpu/online", "0-2")
    assert nodes_of_cpus(Host(tmp_path)).tolist() == [0, 0, 0]


def test_a_tree_without_cpulists_has_masks(tmp_path):
    put(tmp_path, "/sys/devices/system/node/node0/cpumap", "00000001,0000000f")
    put(tmp_path, "/sys/devices/system/node/node1/cpumap", "00000000,000000f0")
    host = Host(tmp_path)
    assert cpus_of_node(host, 0) == (0, 1, 2, 3, 32)
    assert nodes_of_cpus(host).tolist()[:9] == [0, 0, 0, 0, 1, 1, 1, 1, -1]
    put(tmp_path, "/sys/devices/system/node/node1/cpumap", "ff,0000000z")
    with pytest.raises(PghotError, match=r"node1/cpumap: 'ff0000000z': wants a hexadecimal"):
        cpus_of_node(host, 1)
