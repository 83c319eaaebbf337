"""What the doctor says of recorded hosts."""

from __future__ import annotations

import errno
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.linux.doctor.checks import SUDO, Check
from pghot.linux.doctor.doctor import Diagnosis, diagnose
from pghot.linux.host import Host
from pghot.linux.processes.capabilities import read_rights
from tests.linux import host_trees as trees
from tests.linux import made_hosts
from tests.linux.host_trees import RecordedHost
from tests.linux.perf_rig import machine

BALANCING = "NUMA balancing"
FAULTS = "page faults as perf events"
HARDWARE = "hardware samples"
PACE = "pace of the scan (debugfs)"
ROOM = "room on a full fast node"
SLOW = "a slow node"


@pytest.fixture
def host(tmp_path: Path) -> RecordedHost:
    """A machine on which everything works, as root."""
    return trees.host(trees.two_tier, tmp_path)


def check(host: RecordedHost, name: str, tiers: str | None = None) -> Check:
    (found,) = [one for one in diagnose(host, tiers).checks if one.name == name]
    return found


def said(host: RecordedHost, name: str) -> tuple[str, str, str]:
    found = check(host, name)
    return found.state.value, found.detail, found.fix


def as_user(host: RecordedHost) -> RecordedHost:
    """Take root's rights away, as the kernel would."""
    trees.write(host.root, "/proc/self/status", trees.USER_STATUS)
    host.perf = lambda *_: errno.EACCES
    host.pfn = 0
    return host


def first(diagnosis: Diagnosis) -> str:
    assert diagnosis.first_missing
    return diagnosis.first_missing.name


def test_where_everything_is_there_a_run_can_work(host: RecordedHost) -> None:
    diagnosis = diagnose(host)
    assert diagnosis.can_run
    assert diagnosis.sources == ("fault",)
    assert [c.name for c in diagnosis.checks if c.missing] == [HARDWARE]


def test_nothing_is_written(host: RecordedHost) -> None:
    before = {path: path.stat().st_mtime_ns for path in host.root.rglob("*")}
    host.write = None  # type: ignore[assignment, method-assign]
    diagnose(host)
    assert {path: path.stat().st_mtime_ns for path in host.root.rglob("*")} == before


def test_json_says_all_of_it(host: RecordedHost) -> None:
    said = json.loads(json.dumps(diagnose(as_user(host)).to_dict()))
    assert (said["can_run"], said["first_missing"], said["sources"]) == (False, FAULTS, [])
    assert {
        "name": HARDWARE,
        "state": "missing",
        "detail": "this virtual machine has no PMU",
        "fix": "",
    } in said["checks"]


# Nodes


def test_one_node_is_told_to_see_the_demo(tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    assert said(host, SLOW) == ("missing", "one node only", "pghot demo")
    assert first(diagnose(host)) == SLOW


def test_slow_and_fast_nodes_are_named(tmp_path: Path) -> None:
    host = trees.host(trees.cxl, tmp_path)
    assert said(host, SLOW) == ("works", "slow: 4-5; fast: 0-1", "")


def test_nodes_without_cpus_that_the_kernel_calls_fast(tmp_path: Path) -> None:
    host = made_hosts.made("one_tier", tmp_path)
    assert said(host, SLOW) == (
        "missing",
        "the kernel takes every node for top tier; some have no CPUs",
        "pghot doctor --tiers 0/1",
    )
    assert check(host, SLOW, "0/1").detail == "slow: 1; fast: 0"


def test_several_nodes_that_are_all_fast(host: RecordedHost) -> None:
    trees.write(host.root, "/sys/devices/system/node/node1/cpulist", "2")
    trees.write(host.root, "/sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "0-1")
    trees.remove(host.root, "/sys/devices/virtual/memory_tiering/memory_tier112/nodelist")
    assert check(host, SLOW).fix == "pghot doctor --tiers FAST/SLOW"
    assert check(host, SLOW).missing


NO_MEMORY = "Node 0 MemTotal: 0 kB\nNode 0 MemFree: 0 kB"


def test_no_fast_node(host: RecordedHost) -> None:
    trees.write(host.root, "/sys/devices/system/node/node0/meminfo", NO_MEMORY)
    assert said(host, SLOW)[:2] == ("missing", "no fast node has memory")


def test_a_kernel_without_numa(host: RecordedHost) -> None:
    (host.root / "sys/devices/system/node").rename(host.root / "away")
    assert check(host, SLOW).detail.endswith("this kernel has no NUMA (CONFIG_NUMA)")


def test_wrong_tiers_are_an_input_error(host: RecordedHost) -> None:
    with pytest.raises(InputError, match="--tiers 0/9"):
        diagnose(host, "0/9")


# Hint faults


def test_the_event_is_opened_for_all_processes_with_physical_addresses_and_not_started(
    host: RecordedHost,
) -> None:
    assert check(host, FAULTS).detail == "with physical addresses, of all processes"
    ((attr, pid, cpu),) = host.opened
    kind, size, config, period, sample_type = struct.unpack_from("=IIQQQ", attr)
    assert (pid, cpu) == (-1, 0)
    assert (kind, size, config, period) == (1, len(attr), 5, 1)
    assert sample_type >> 19 & 1
    assert struct.unpack_from("=Q", attr, 40)[0] & 1


def test_perf_events_of_others_need_a_right(host: RecordedHost) -> None:
    as_user(host).perf = lambda _attr, pid, _cpu: errno.EACCES if pid else 0
    trees.write(host.root, "/proc/sys/kernel/perf_event_paranoid", "1")
    assert said(host, FAULTS) == (
        "missing",
        "own processes only: no CAP_PERFMON, perf_event_paranoid is 1",
        "sudo sysctl kernel.perf_event_paranoid=0",
    )


def test_perf_events_that_are_refused_altogether(host: RecordedHost) -> None:
    assert said(as_user(host), FAULTS) == (
        "missing",
        "no CAP_PERFMON, and perf_event_paranoid is 3",
        "sudo sysctl kernel.perf_event_paranoid=0",
    )


def test_a_container_that_refuses_root(host: RecordedHost) -> None:
    host.perf = lambda *_: errno.EPERM
    assert said(host, FAULTS)[2] == "run pghot outside of the container"


@pytest.mark.parametrize(
    ("code", "of_self", "says"),
    [
        (errno.ENOSYS, errno.ENOSYS, "this kernel has no perf events (CONFIG_PERF_EVENTS)"),
        (errno.EINVAL, 0, "this kernel's samples have no physical addresses"),
        (errno.EINVAL, errno.EINVAL, "perf_event_open: Invalid argument"),
        (errno.EMFILE, 0, "perf_event_open: Too many open files"),
    ],
)
def test_kernels_whose_perf_cannot(code: int, of_self: int, says: str, host: RecordedHost) -> None:
    host.perf = lambda _attr, pid, _cpu: code if pid else of_self
    assert said(host, FAULTS) == ("missing", says, "")


def test_numa_balancing_tells_what_a_run_sets(host: RecordedHost) -> None:
    state, detail, fix = said(host, BALANCING)
    assert (state, fix) == ("works", "")
    assert detail.startswith("numa_balancing is 0, its promotion limit 65536 MB/s; a run sets 2")


def test_only_root_sets_numa_balancing(host: RecordedHost) -> None:
    assert said(as_user(host), BALANCING) == (
        "missing",
        "numa_balancing is 0; only root with CAP_SYS_ADMIN may set it",
        SUDO,
    )


def test_sysctls_that_are_mounted_read_only(
    host: RecordedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "mounted read-only" in check(host, BALANCING).detail


def test_kernels_without_numa_balancing_or_without_its_tiering_mode(host: RecordedHost) -> None:
    trees.remove(host.root, "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps")
    assert "no tiering mode" in check(host, BALANCING).detail
    trees.remove(host.root, "/proc/sys/kernel/numa_balancing")
    assert check(host, BALANCING).detail == "this kernel has none (CONFIG_NUMA_BALANCING)"
    assert first(diagnose(host)) == BALANCING


def test_the_pace_of_the_scan(host: RecordedHost) -> None:
    scan = "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms"
    assert said(host, PACE) == ("works", "scan_period_min_ms is 1000", "")
    trees.remove(host.root, scan)
    assert check(host, PACE).detail == (
        "this kernel has no /sys/kernel/debug/sched/numa_balancing"
    )
    trees.write(host.root, "/proc/mounts", "proc /proc proc rw 0 0")
    assert said(host, PACE) == (
        "missing",
        "debugfs is not mounted",
        "sudo mount -t debugfs none /sys/kernel/debug",
    )
    assert diagnose(host).can_run


def test_debugfs_is_for_root(host: RecordedHost) -> None:
    refuse(host, "/sys/kernel/debug")
    assert said(host, PACE) == ("missing", "/sys/kernel/debug: Permission denied", SUDO)


def test_an_old_kernel_has_the_pace_among_the_sysctls(tmp_path: Path) -> None:
    host = trees.host(trees.old, tmp_path)
    assert check(host, "pace of the scan").detail == "sysctls kernel.numa_balancing_scan_*"


# Hardware


def pmu(host: RecordedHost, *files: str) -> RecordedHost:
    for name in files:
        trees.write(host.root, f"/sys/bus/event_source/devices/{name}", "11")
    return host


@pytest.mark.parametrize(
    ("recorded", "says", "events"),
    [
        ("amd_zen4", "AMD IBS, misses of the last cache", 1),
        ("intel_sapphire_rapids", "cpu mem-loads and mem-stores", 3),
        (
            "intel_hybrid",
            "cpu_atom mem-loads and mem-stores and cpu_core mem-loads and mem-stores",
            5,
        ),
    ],
)
def test_pmus_that_sample_memory_accesses_are_opened_as_a_run_does(
    recorded: str, says: str, events: int, host: RecordedHost
) -> None:
    machine(host.root, recorded)
    assert said(host, HARDWARE) == ("works", says, "")
    assert len(host.opened) == 1 + events
    assert diagnose(host).sources == ("fault", "hardware")
    assert said(as_user(host), HARDWARE)[0] == "missing"


def test_a_pmu_that_refuses_its_events_is_missing_and_says_why(host: RecordedHost) -> None:
    machine(host.root, "amd_zen4")
    host.perf = lambda attr, *_: 0 if attr[0] == 1 else errno.ENODEV
    assert said(host, HARDWARE) == (
        "missing",
        "AMD IBS, misses of the last cache: perf_event_open of ibs_op: No such device",
        "",
    )
    assert diagnose(host).sources == ("fault",)


def test_hardware_alone_is_enough(host: RecordedHost) -> None:
    machine(host.root, "amd_zen4")
    trees.two_tier(host.root)
    trees.remove(host.root, "/proc/sys/kernel/numa_balancing")
    diagnosis = diagnose(host)
    assert diagnosis.can_run
    assert diagnosis.sources == ("hardware",)


def test_why_there_are_no_hardware_samples(host: RecordedHost) -> None:
    assert check(host, HARDWARE).detail == "this virtual machine has no PMU"
    pmu(host, "cpu/type")
    assert check(host, HARDWARE).detail == (
        "cpu samples no memory accesses that are read here (no ibs_op, no mem-loads); "
        "this is a virtual machine"
    )
    trees.write(host.root, "/proc/cpuinfo", "flags : fpu")
    assert check(host, HARDWARE).detail.endswith("mem-loads)")
    trees.remove(host.root, "/sys/bus/event_source/devices/cpu/type")
    (host.root / "sys/bus/event_source/devices/cpu").rmdir()
    assert check(host, HARDWARE).detail == "this kernel shows no PMU"


# Rings, pages, moving


def test_ring_memory_is_limited_for_users(host: RecordedHost) -> None:
    assert said(host, "ring memory")[0] == "works"
    assert said(as_user(host), "ring memory") == (
        "note",
        (
            "1028 KiB a CPU; perf_event_mlock_kb is 516, no CAP_IPC_LOCK: "
            "smaller rings lose samples sooner"
        ),
        "sudo sysctl kernel.perf_event_mlock_kb=1028",
    )
    trees.write(host.root, "/proc/sys/kernel/perf_event_mlock_kb", "1028")
    assert said(host, "ring memory")[0] == "works"


def test_no_run_can_do_without_a_page_of_ring_memory(host: RecordedHost) -> None:
    trees.write(as_user(host).root, "/proc/sys/kernel/perf_event_mlock_kb", "7")
    assert said(host, "ring memory")[0] == "missing"
    trees.write(host.root, "/proc/sys/kernel/perf_event_mlock_kb", "8")
    assert said(host, "ring memory")[0] == "note"


def test_rings_of_large_pages_are_as_large_in_bytes(tmp_path: Path) -> None:
    host = as_user(trees.host(trees.arm64, tmp_path))
    assert check(host, "ring memory").fix == "sudo sysctl kernel.perf_event_mlock_kb=1088"


def test_a_low_sample_rate_is_noted(host: RecordedHost) -> None:
    assert said(host, "sample rate")[2] == ""
    trees.write(host.root, "/proc/sys/kernel/perf_event_max_sample_rate", "2000")
    state, _, fix = said(host, "sample rate")
    assert (state, fix) == ("note", "sudo sysctl kernel.perf_event_max_sample_rate=100000")


PFNS = "PFNs of pages (pagemap)"
FLAGS = "page flags (kpageflags)"
CGROUPS = "cgroups of pages (kpagecgroup)"


def refuse(host: RecordedHost, prefix: str) -> None:
    """Let nobody read files below `prefix`."""

    def refused(function: Callable[..., object]) -> Callable[..., object]:
        def call(name: str, *arguments: int) -> object:
            if name.startswith(prefix):
                raise PermissionError(errno.EACCES, "Permission denied")
            return function(name, *arguments)

        return call

    host.text = refused(host.text)  # type: ignore[assignment, method-assign]
    host.read_at = refused(host.read_at)  # type: ignore[assignment, method-assign]


def test_pfns_read_as_zero_without_the_right(host: RecordedHost) -> None:
    assert said(host, PFNS) == ("works", "PFNs are shown", "")
    assert said(as_user(host), PFNS) == ("missing", "PFNs read as 0: no CAP_SYS_ADMIN", SUDO)


def test_a_pagemap_that_is_not_there_or_not_ours(host: RecordedHost) -> None:
    trees.remove(host.root, "/proc/self/pagemap")
    assert said(host, PFNS)[1:] == (
        "this kernel has no pagemap (CONFIG_PROC_PAGE_MONITOR)",
        "",
    )
    refuse(host, "/proc/self/pagemap")
    assert said(host, PFNS)[1:] == ("/proc/self/pagemap: Permission denied", SUDO)


@pytest.mark.parametrize(
    ("name", "path", "option", "can_run"),
    [
        (FLAGS, "/proc/kpageflags", "CONFIG_PROC_PAGE_MONITOR", False),
        (CGROUPS, "/proc/kpagecgroup", "CONFIG_MEMCG", True),
    ],
)
def test_files_that_tell_of_every_page(
    name: str, path: str, option: str, can_run: bool, host: RecordedHost
) -> None:
    assert said(host, name) == ("works", f"{path} is read", "")
    trees.remove(host.root, path)
    assert said(host, name) == ("missing", f"this kernel has no {path} ({option})", "")
    refuse(host, path)
    assert said(host, name) == ("missing", f"{path}: Permission denied", SUDO)
    assert diagnose(host).can_run == can_run


def test_move_pages(host: RecordedHost) -> None:
    assert said(host, "move_pages")[:2] == ("works", "tells that a page of ours is on node 0")
    assert said(host, "move_pages of other processes")[1] == (
        "pages that several of them share as well, where --move-shared asks for it"
    )
    host.moved = -errno.EFAULT
    assert said(host, "move_pages")[:2] == ("missing", "of a page of our own: Bad address")
    host.moved = -errno.ENOSYS
    assert said(host, "move_pages")[1] == (
        "this kernel moves no pages (CONFIG_NUMA, CONFIG_MIGRATION)"
    )


@pytest.mark.parametrize(
    ("effective", "says"),
    [
        (0, "only of your own processes: no CAP_SYS_PTRACE"),
        (1 << 19, "but no page that several processes share: no CAP_SYS_NICE"),
    ],
)
def test_moving_pages_of_others_needs_rights(
    effective: int, says: str, host: RecordedHost
) -> None:
    trees.write(host.root, "/proc/self/status", f"Uid:\t5\t5\t5\t5\nCapEff:\t{effective:016x}")
    assert said(host, "move_pages of other processes") == ("note", says, SUDO)


def test_what_makes_room(host: RecordedHost) -> None:
    state, detail, fix = said(host, ROOM)
    assert state == "note"
    assert detail.startswith("demotion is off, swap is off: anonymous pages stay")
    assert fix == "echo true | sudo tee /sys/kernel/mm/numa/demotion_enabled"
    trees.write(host.root, "/proc/swaps", "Filename Type\n/dev/vda2 partition 1 0 -2")
    assert said(host, ROOM)[1] == "demotion is off, swap is on"
    trees.write(host.root, "/sys/kernel/mm/numa/demotion_enabled", "true")
    assert said(host, ROOM)[:2] == ("works", "cold pages are demoted")
    trees.remove(host.root, "/sys/kernel/mm/numa/demotion_enabled")
    assert said(host, ROOM)[1] == "this kernel cannot demote; swap is on"


# Rights


def test_rights_of_root_and_of_nobody(tmp_path: Path) -> None:
    host = trees.host(trees.plain, tmp_path)
    assert read_rights(host).may_set_sysctls
    trees.remove(tmp_path, "/proc/self/status")
    rights = read_rights(host)
    assert (rights.uid, rights.capabilities) == (-1, frozenset())


def test_every_check_can_be_made_on_this_very_host() -> None:
    """Whatever it is: the doctor explains, it does not fail."""
    assert len(diagnose(Host()).checks) >= 12
