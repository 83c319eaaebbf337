"""What `pghot topology` and `pghot doctor` say of the hosts that people have (docs/hosts.md)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.engine.pfn_ranges import PfnRange
from pghot.engine.units import PAGES_PER_SECTION
from pghot.errors import PghotError
from pghot.linux.doctor.checks import Check, CheckState
from pghot.linux.doctor.doctor import diagnose
from pghot.linux.host import Host
from pghot.linux.nodes.machine_form import machine_form, with_latencies
from pghot.linux.nodes.topology import Topology, read_topology
from pghot.live.machine import HostMachine
from pghot.log.machine import Machine
from tests.linux.host_trees import write
from tests.linux.made_hosts import CXL, DRAM, GIB, HBM, KINDS, NODE, MadeHost, made, node, of

On = Callable[[str], MadeHost]


@pytest.fixture
def on(tmp_path: Path) -> On:
    """A host of a kind."""
    return lambda kind: made(kind, tmp_path)


def tiers_of(topology: Topology) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return topology.fast, topology.slow


def checks(host: MadeHost, name: str, tiers: str | None = None) -> list[Check]:
    return [check for check in diagnose(host, tiers).checks if check.name == name]


def why(topology: Topology, nid: int) -> str:
    found = topology.node(nid)
    assert found
    return found.why


# High-bandwidth memory


def test_hbm_in_a_lower_tier_number_is_fast(on: On) -> None:
    topology = read_topology(on("hbm_in_a_lower_tier_number"))
    assert tiers_of(topology) == ((0, 1, 2, 3), ())
    assert topology.node(2).rank == 0  # type: ignore[union-attr]
    assert topology.node(0).rank == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", ["hbm_by_hmat", "hbm_before_memory_tiers"])
def test_hbm_is_fast_by_its_bandwidth_though_its_latency_is_longer(kind: str, on: On) -> None:
    host = on(kind)
    topology = read_topology(host)
    assert HBM[0] > DRAM[0]
    if kind == "hbm_by_hmat":  # the kernel has it in the tier of DRAM
        assert tiers_of(topology) == ((0, 1, 2, 3), ())
    assert topology.node(2).toptier  # type: ignore[union-attr]
    assert topology.suggested_tiers is None
    (slow,) = checks(host, "a slow node")
    assert (slow.missing, slow.fix) == (True, "pghot doctor --tiers FAST/SLOW")


def test_where_the_kernel_has_hbm_below_dram_both_are_told_and_the_kernel_holds(on: On) -> None:
    host = on("hbm_as_dax_kmem_has_it")
    topology = read_topology(host)
    assert tiers_of(topology) == ((0, 1), (2, 3))
    (first, second) = topology.contradictions
    assert first == (
        "node 2: lower tier by the kernel (memory_tier22, below memory_tier4, the slowest with "
        "CPUs), but HMAT: 130 ns, 400,000 MB/s: faster than node 0 (100 ns, 200,000 MB/s); the "
        "kernel's word holds unless --tiers says otherwise"
    )
    assert second.startswith("node 3: lower tier by the kernel")
    assert [check.detail for check in checks(host, "tiers")] == [first, second]
    overruled = read_topology(host, "2-3/0-1")
    assert (tiers_of(overruled), overruled.contradictions) == (((2, 3), (0, 1)), ())


def test_hbm_and_cxl_in_one_tier_are_told_apart_by_hmat(on: On) -> None:
    topology = read_topology(on("hbm_and_cxl"))
    assert tiers_of(topology) == ((0, 1), (2,))
    assert [n.rank for n in topology.nodes] == [1, 0, 2]
    (line,) = topology.contradictions
    assert line.startswith("node 2: lower tier by HMAT alone (node 2: HMAT: 250 ns, 30,000 MB/s:")


# GPU memory


def test_memory_of_gpus_is_in_no_tier_and_it_is_said(on: On) -> None:
    host = on("power9_with_gpus")
    topology = read_topology(host)
    assert tiers_of(topology) == ((0, 8), ())
    assert why(topology, 255) == "memory of the GPU 0000:04:00.0: left out of both tiers"
    (slow,) = checks(host, "a slow node")
    assert (slow.missing, slow.fix) == (True, "pghot doctor --tiers FAST/SLOW")
    form = machine_form(topology)
    assert [table["id"] for table in form.content["node"]] == [0, 8, 252, 253]
    assert form.notes[0] == f"node 254: left out: {why(topology, 254)}"


def test_a_cxl_node_beside_a_gpu_is_slow_and_the_gpu_is_not(on: On) -> None:
    host = on("grace_hopper_with_cxl")
    topology = read_topology(host)
    assert tiers_of(topology) == ((0,), (3,))
    assert checks(host, "a slow node")[0].detail == (
        "slow: 3; fast: 0; left out, memory of GPUs: 1"
    )
    assert tiers_of(read_topology(host, "0/3")) == ((0,), (3,))  # which need not name it
    assert tiers_of(read_topology(host, "1/0/3")) == ((1,), (0, 3))  # and may


# One tier


def test_cxl_in_the_tier_of_dram_is_slow_by_hmat_and_shows_no_hint_faults(on: On) -> None:
    host = on("one_tier_with_hmat")
    topology = read_topology(host)
    assert tiers_of(topology) == ((0,), (1,))
    assert topology.kernel_slow == ()
    diagnosis = diagnose(host)
    assert not diagnosis.can_run
    (seen,) = checks(host, "hint faults of slow memory")
    assert (seen.state, seen.needed_by) == (CheckState.MISSING, "fault")
    assert "takes no hint faults there" in seen.detail
    assert "daxctl reconfigure-device" in seen.fix


def test_tiers_of_the_user_bring_no_hint_faults_either(on: On) -> None:
    host = on("one_tier")
    assert checks(host, "a slow node")[0].fix == "pghot doctor --tiers 0/1"
    assert not diagnose(host, "0/1").can_run
    assert diagnose(host, "0/1").sources == ()


def test_with_a_pmu_hardware_samples_do_without_the_kernels_tiers(on: On) -> None:
    diagnosis = diagnose(on("one_tier_with_a_pmu"))
    assert (diagnosis.can_run, diagnosis.sources) == (True, ("hardware",))


def test_before_memory_tiers_hmat_says_what_is_slow_and_the_kernel_takes_faults(on: On) -> None:
    host = on("before_memory_tiers_with_hmat")
    topology = read_topology(host)
    assert (tiers_of(topology), topology.kernel_slow) == (((0,), (1,)), (1,))
    assert why(topology, 1) == (
        "HMAT: 250 ns, 30,000 MB/s: slower than node 0 (100 ns, 200,000 MB/s)"
    )
    assert diagnose(host).can_run


def test_zeros_of_hmat_are_not_told_and_nothing_is_made_of_them(on: On) -> None:
    topology = read_topology(on("zeros_in_hmat"))
    access = topology.node(1).access0  # type: ignore[union-attr]
    assert access
    assert (access.latency, access.bandwidth, str(access)) == (None, None, "")
    assert (tiers_of(topology), topology.contradictions) == (((0,), (1,)), ())
    form = with_latencies(machine_form(topology), topology)
    assert not any("latency_ns" in table for table in form.content["node"])


@pytest.mark.parametrize(
    ("speed", "slow"),
    [(CXL, True), (HBM, False), (DRAM, False), ((110, 200_000), False), ((100, 170_000), True)],
)
def test_hmat_counts_as_the_kernels_own_abstract_distance(
    speed: tuple[int, int], slow: bool, tmp_path: Path
) -> None:
    of(node(0, "0-1", "10 20", DRAM), node(1, "", "20 10", speed), tiers={})(tmp_path)
    topology = read_topology(MadeHost(tmp_path))
    assert (topology.slow == (1,)) is slow


# Offline memory


def test_a_cxl_node_that_is_offline_is_named_with_the_command_that_onlines_it(on: On) -> None:
    host = on("cxl_offline")
    assert read_topology(host).node(1).offline == (128, 129, 131)  # type: ignore[union-attr]
    (slow,) = checks(host, "a slow node")
    assert (slow.state, slow.detail, slow.fix) == (
        CheckState.MISSING,
        "node 1: memory blocks 128-129,131 offline: it has no other memory",
        ("echo online_movable | sudo tee /sys/devices/system/memory/memory{{128..129},131}/state"),
    )


def test_blocks_that_are_offline_beside_others_are_noted(on: On) -> None:
    host = on("cxl_partly_offline")
    (offline,) = checks(host, "offline memory")
    assert offline.detail == "node 1: memory block 130 offline"
    assert offline.fix.endswith("/sys/devices/system/memory/memory130/state")
    assert read_topology(host).node(1).pfns == (  # type: ignore[union-attr]
        PfnRange(128 * GIB, 130 * GIB),
    )
    assert diagnose(host).can_run


# Where memory lies


@pytest.mark.parametrize(
    ("kind", "fast", "slow"),
    [
        ("dimm_added_later", [(64, 68), (140, 144)], [(68, 72)]),
        (
            "interleaved",
            [(64, 65), (66, 67), (68, 69), (70, 71)],
            [(65, 66), (67, 68), (69, 70), (71, 72)],
        ),
        ("with_a_hole", [(64, 68)], [(128, 130), (8320, 8322)]),
    ],
)
def test_a_node_is_any_number_of_ranges_here_and_in_the_log(
    kind: str, fast: list[tuple[int, int]], slow: list[tuple[int, int]], on: On
) -> None:
    topology = read_topology(on(kind))
    machine = Machine.from_dict(machine_form(topology).content)
    for nodes in (topology.nodes, machine.nodes):
        for of_node, wanted in zip(nodes, (fast, slow), strict=True):
            ranges = of_node.pfns if nodes is topology.nodes else of_node.ranges
            assert [(r.start // GIB, r.end // GIB) for r in ranges] == wanted


def test_a_hole_costs_nothing(on: On) -> None:
    topology = read_topology(on("with_a_hole"))
    mem_map = HostMachine(Host(), topology, None).mem_map  # type: ignore[arg-type]
    sections = sum(r.pages for n in topology.nodes for r in n.pfns) // PAGES_PER_SECTION
    assert sections == 64
    assert mem_map.slots <= 2 * sections


# CPUs apart from memory


def test_cpus_on_memoryless_nodes_find_what_is_fast_by_hmat(on: On) -> None:
    topology = read_topology(on("cpus_on_memoryless_nodes"))
    assert tiers_of(topology) == ((2,), (3,))


def test_cpus_on_memoryless_nodes_find_what_is_fast_by_distance(on: On) -> None:
    host = on("cpus_on_memoryless_nodes_without_hmat")
    topology = read_topology(host)
    assert tiers_of(topology) == ((2,), (3,))
    assert (
        why(topology, 3)
        == "of the nodes with memory, none of which has CPUs, farther from all CPUs"
    )
    assert diagnose(host).can_run


def test_three_tiers_have_three_ranks(on: On) -> None:
    topology = read_topology(on("three_tiers"))
    assert [n.rank for n in topology.nodes] == [0, 0, 1, 2]
    assert tiers_of(topology) == ((0, 1), (2, 3))


# What the kernel or the system keeps back


def test_a_nul_after_a_list_is_passed_over(on: On) -> None:
    host = on("nul_after_lists")
    assert [n.cpus for n in read_topology(host).nodes] == [(0, 1), ()]
    assert diagnose(host).can_run


def test_the_doctor_counts_descriptors(on: On) -> None:
    (enough,) = checks(on("many_cpus"), "descriptors")
    assert enough.detail == ("1,264 are needed; the hard limit is 1,048,576, and a run takes that")


def test_too_low_a_hard_limit_of_descriptors_is_missing(on: On) -> None:
    host = on("few_descriptors")
    assert not diagnose(host).can_run
    (few,) = checks(host, "descriptors")
    assert few.detail == (
        "perf events need 1,264 descriptors, the hard limit is 256: root raises it by ulimit -Hn, "
        "or LimitNOFILE= of a unit"
    )


def test_on_a_patched_kernel_cap_perfmon_is_not_enough(on: On) -> None:
    (faults,) = checks(on("paranoid_4"), "page faults as perf events")
    assert faults.detail == (
        "perf_event_paranoid is 4: from 3 on this kernel (a patch of Debian's and Ubuntu's) wants "
        "CAP_SYS_ADMIN, not CAP_PERFMON"
    )
    assert faults.fix == "sudo sysctl kernel.perf_event_paranoid=2"


def test_lockdown_keeps_the_pace_of_the_scan_and_no_run_from_working(on: On) -> None:
    host = on("secure_boot")
    (pace,) = checks(host, "pace of the scan (debugfs)")
    assert pace.detail == (
        "kernel lockdown (integrity, as with Secure Boot) keeps debugfs shut: a run goes on at "
        "the kernel's own pace"
    )
    assert diagnose(host).can_run


def test_lockdown_at_confidentiality_leaves_no_source(on: On) -> None:
    host = on("lockdown_confidentiality")
    (faults,) = checks(host, "page faults as perf events")
    assert faults.detail == "kernel lockdown (confidentiality) refuses them to root as well"
    assert not diagnose(host).can_run


def test_guests_of_kvm_are_told(on: On) -> None:
    (guests,) = checks(on("kvm_host"), "memory of KVM guests")
    assert guests.detail == (
        "processes with a guest now: 4711; hint faults do not show what a KVM guest accesses; "
        "hardware samples do"
    )


def test_balancing_between_sockets_goes_on_beside_tiering(on: On) -> None:
    host = on("balancing_between_sockets")
    assert "a run sets 3 and 0" in checks(host, "NUMA balancing")[0].detail
    write(host.root, "/proc/sys/kernel/numa_balancing", "0")
    assert "a run sets 2 and 0" in checks(host, "NUMA balancing")[0].detail


def test_with_one_socket_there_is_nothing_to_balance_between(on: On) -> None:
    host = on("two_tier")
    write(host.root, "/proc/sys/kernel/numa_balancing", "1")
    assert "a run sets 2 and 0" in checks(host, "NUMA balancing")[0].detail


def test_pages_of_64_kib_make_rings_of_as_many_bytes(on: On) -> None:
    (rings,) = checks(on("arm64"), "ring memory")
    assert rings.detail.startswith("1088 KiB a CPU")


# Every kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_a_topology_and_a_machine_file_that_reads_back(kind: str, on: On) -> None:
    topology = read_topology(on(kind))
    assert Topology.from_dict(topology.to_dict()) == topology
    machine = Machine.from_dict(machine_form(topology).content)
    for of_node in machine.nodes:
        known = topology.node(of_node.id)
        assert known
        assert known.toptier == of_node.toptier
        assert not known.left_out


def test_a_node_that_no_kernel_has_is_one_line(on: On) -> None:
    host = on("two_tier")
    write(host.root, f"{NODE}5000/cpulist", "")
    with pytest.raises(PghotError, match=r"/node5000: node ids end at 1023$"):
        read_topology(host)
