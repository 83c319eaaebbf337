"""Hosts that people have: each builder writes a small tree with one trait of theirs.

The traits are those that reports and recorded trees of real machines showed; the figures are
made.  `KINDS` is all of them by name, for what has to hold on every host.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from pghot.linux.guard.lockdown import lockdown
from pghot.linux.host import Host
from pghot.linux.perf.ring_size import ring_pages
from pghot.linux.processes.capabilities import read_rights
from pghot.linux.processes.perf_limits import hard_limit
from tests.linux.host_trees import (
    PAGE_SIZES,
    N,
    RecordedHost,
    Z,
    arm64,
    cxl,
    old,
    plain,
    remove,
    two_tier,
    write,
    write_kernel,
    write_nodes,
)
from tests.linux.perf_rig import MadeRing, machine

Make = Callable[[Path], None]

GIB = 1 << 18
NODE = "/sys/devices/system/node/node"
BLOCK = "/sys/devices/system/memory"
GPUS = "/proc/driver/nvidia/gpus"
DEBUGFS = "/sys/kernel/debug"

DRAM, HBM, CXL = (100, 200_000), (130, 400_000), (250, 30_000)
"""Read latency in ns and bandwidth in MB/s, as HMAT would have them."""

NONE = (0, 0)


def memory(nid: int, gib: int = 4) -> tuple[Z, ...]:
    """So many GiB of the node's own, wherever its id puts them."""
    return (Z("Normal", (1 + nid) * 64 * GIB, gib * GIB),)


def node(
    nid: int, cpus: str, distance: str, speed: tuple[int, int] | None = None, *, of: int = 0
) -> N:
    """A node of 4 GiB; `speed` is HMAT's, as the CPUs of node `of` have it."""
    hmat = {} if speed is None else {0: ((of,), *speed)}
    return N(nid, cpus, distance, memory(nid), hmat=hmat)


def blocks_of(root: Path, nid: int, online: tuple[int, ...], offline: tuple[int, ...]) -> None:
    """Memory blocks of 1 GiB of a node."""
    write(root, f"{BLOCK}/block_size_bytes", "40000000")
    for number in (*online, *offline):
        write(root, f"{NODE}{nid}/memory{number}/.link", "")
        write(root, f"{BLOCK}/memory{number}/phys_index", f"{number:08x}")
        write(root, f"{BLOCK}/memory{number}/state", "online" if number in online else "offline")


def of(*nodes: N, tiers: dict[int, str], kernel: Make = write_kernel) -> Make:
    """A host of these nodes and these memory tiers of the kernel's."""

    def make(root: Path) -> None:
        write_nodes(root, nodes, tiers)
        kernel(root)

    return make


# High-bandwidth memory beside DRAM: nodes 2 and 3 have no CPUs.


def _hbm(tiers: dict[int, str], dram: tuple[int, int] | None, hbm: tuple[int, int] | None) -> Make:
    return of(
        node(0, "0-55", "10 21 13 23", dram),
        node(1, "56-111", "21 10 23 13", dram, of=1),
        node(2, "", "13 23 10 23", hbm),
        node(3, "", "23 13 23 10", hbm, of=1),
        tiers=tiers,
    )


hbm_in_a_lower_tier_number = _hbm({3: "2-3", 4: "0-1"}, None, None)
hbm_by_hmat = _hbm({4: "0-3"}, DRAM, HBM)
hbm_as_dax_kmem_has_it = _hbm({4: "0-1", 22: "2-3"}, DRAM, HBM)
hbm_before_memory_tiers = _hbm({}, DRAM, HBM)
hbm_and_cxl = of(
    node(0, "0-55", "10 13 24", DRAM),
    node(1, "", "13 10 24", HBM),
    node(2, "", "24 24 10", CXL),
    tiers={4: "0-2"},
)

# Memory of GPUs as nodes.


def _gpus(root: Path, **nodes: int) -> None:
    for number, nid in enumerate(nodes.values()):
        status = f"Node:          \t{nid}\nStatus:        \tonline"
        write(root, f"{GPUS}/000{number}:04:00.0/numa_status", status)


def power9_with_gpus(root: Path) -> None:
    """Two sockets, 0 and 8, and a GPU each at 255 and 254; nodes 250 to 253 are empty."""
    distance = "10 40 80 80 80 80"
    nodes = (
        node(0, "0-79", distance),
        node(8, "80-159", distance),
        N(252, "", distance),
        N(253, "", distance),
        node(254, "", distance),
        node(255, "", distance),
    )
    write_nodes(root, nodes, {4: "0,8,254-255"})
    write_kernel(root)
    _gpus(root, first=255, second=254)


def grace_hopper_with_cxl(root: Path) -> None:
    """LPDDR with CPUs, the GPU's memory at node 1, an empty node of its, and a CXL node."""
    nodes = (
        node(0, "0-71", "10 80 80 24"),
        node(1, "", "80 10 10 90"),
        N(2, "", "80 10 10 90"),
        node(3, "", "24 90 90 10"),
    )
    write_nodes(root, nodes, {4: "0", 22: "1,3"})
    write_kernel(root)
    _gpus(root, first=1)


# Slow memory that the kernel does not tell apart, or not at all.

one_tier = of(node(0, "0-1", "10 20"), node(1, "", "20 10"), tiers={4: "0-1"})
one_tier_with_hmat = of(node(0, "0-1", "10 20", DRAM), node(1, "", "20 10", CXL), tiers={4: "0-1"})
before_memory_tiers_with_hmat = of(
    node(0, "0-1", "10 20", DRAM), node(1, "", "20 10", CXL), tiers={}
)
zeros_in_hmat = of(
    node(0, "0-1", "10 20", NONE), node(1, "", "20 10", NONE), tiers={4: "0", 22: "1"}
)


def one_tier_with_a_pmu(root: Path) -> None:
    """The same with AMD's IBS."""
    machine(root, "amd_zen5")
    one_tier_with_hmat(root)


def cxl_offline(root: Path) -> None:
    """A CXL node none of whose blocks is online: the node is there, its memory is not."""
    write_nodes(root, (node(0, "0-3", "10 20"), N(1, "", "20 10")), {4: "0"})
    write_kernel(root)
    blocks_of(root, 0, (64, 65, 66, 67), ())
    blocks_of(root, 1, (), (128, 129, 131))


def cxl_partly_offline(root: Path) -> None:
    """A CXL node of which two blocks are online."""
    slow = N(1, "", "20 10", (Z("Movable", 128 * GIB, 3 * GIB, 2 * GIB),))
    write_nodes(root, (node(0, "0-3", "10 20"), slow), {4: "0", 22: "1"})
    write_kernel(root)
    blocks_of(root, 0, (64, 65, 66, 67), ())
    blocks_of(root, 1, (128, 129), (130,))


# Where memory lies.


def dimm_added_later(root: Path) -> None:
    """Node 0's memory lies below and above that of node 1."""
    fast = N(0, "0-3", "10 20", (Z("Normal", 64 * GIB, 80 * GIB, 8 * GIB),))
    slow = N(1, "", "20 10", (Z("Movable", 68 * GIB, 4 * GIB),))
    write_nodes(root, (fast, slow), {4: "0", 22: "1"})
    write_kernel(root)
    blocks_of(root, 0, (*range(64, 68), *range(140, 144)), ())
    blocks_of(root, 1, tuple(range(68, 72)), ())


def interleaved(root: Path) -> None:
    """An LPAR's map: every other GiB is the other node's, and zones lie over each other."""
    span = (Z("Normal", 64 * GIB, 8 * GIB, 4 * GIB),)
    write_nodes(root, (N(0, "0-3", "10 40", span), N(1, "", "40 10", span)), {4: "0", 22: "1"})
    write_kernel(root)
    blocks_of(root, 0, (64, 66, 68, 70), ())
    blocks_of(root, 1, (65, 67, 69, 71), ())


def with_a_hole(root: Path) -> None:
    """A slow node with 8 TiB between its two parts."""
    hole = 8192 * GIB
    slow = N(1, "", "20 10", (Z("Movable", 128 * GIB, hole + 2 * GIB, 4 * GIB),))
    write_nodes(root, (node(0, "0-3", "10 20"), slow), {4: "0", 22: "1"})
    write_kernel(root)
    blocks_of(root, 0, (64, 65, 66, 67), ())
    blocks_of(root, 1, (128, 129, 128 + 8192, 129 + 8192), ())


# CPUs on nodes without memory.

_apart = (N(0, "0-7", "10 21 11 31"), N(1, "8-15", "21 10 21 31"))
cpus_on_memoryless_nodes = of(
    *_apart,
    node(2, "", "11 31 10 40", DRAM),
    node(3, "", "31 11 40 10", CXL, of=1),
    tiers={},
)
cpus_on_memoryless_nodes_without_hmat = of(
    *_apart, node(2, "", "11 31 10 40"), node(3, "", "31 40 40 10"), tiers={}
)

# Several fast nodes and several tiers.

three_tiers = of(
    node(0, "0-3", "10 21 24 50", DRAM),
    node(1, "4-7", "21 10 50 50", DRAM, of=1),
    node(2, "", "24 50 10 60", CXL),
    node(3, "", "50 50 60 10", (900, 10_000)),
    tiers={4: "0-1", 22: "2", 60: "3"},
)

# What the kernel or the system keeps from a run.


def nul_after_lists(root: Path) -> None:
    """Kernels before 4.4 put a NUL after a CPU list."""
    two_tier(root)
    for nid, cpus in ((0, b"0-1\n\0"), (1, b"\n\0")):
        write(root, f"{NODE}{nid}/cpulist", cpus)
    write(root, "/sys/devices/system/cpu/online", b"0-1\n\0")


def many_cpus(root: Path) -> None:
    """So many CPUs that the soft limit of descriptors that systems start with is too low."""
    two_tier(root)
    write(root, "/sys/devices/system/cpu/online", "0-399")
    write(root, f"{NODE}0/cpulist", "0-399")


def few_descriptors(root: Path) -> None:
    """The same where root has lowered the hard limit as well."""
    many_cpus(root)
    write(root, "/proc/self/limits", LIMITS.format(nofile=256, memlock=8 << 20))


LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         {memlock}              {memlock}              bytes
Max open files            1024                 {nofile}              files"""


def _status(root: Path, *bits: int, uid: int = 0) -> None:
    mask = sum(1 << bit for bit in bits)
    write(root, "/proc/self/status", f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{mask:016x}")


PTRACE, ADMIN, NICE, PERFMON = 19, 21, 23, 38


def paranoid_4(root: Path) -> None:
    """Ubuntu's kernel, and a process that has every capability but CAP_SYS_ADMIN."""
    two_tier(root)
    write(root, "/proc/sys/kernel/perf_event_paranoid", "4")
    _status(root, PTRACE, NICE, PERFMON)


def locked_memory(root: Path) -> None:
    """No locked memory for a ring of a single page, and no CAP_IPC_LOCK."""
    two_tier(root)
    write(root, "/proc/sys/kernel/perf_event_mlock_kb", "4")
    write(root, "/proc/self/limits", LIMITS.format(nofile=1 << 20, memlock=0))
    _status(root, PTRACE, ADMIN, NICE, PERFMON)


def secure_boot(root: Path) -> None:
    """Lockdown at integrity: debugfs is there, and shut."""
    two_tier(root)
    write(root, "/sys/kernel/security/lockdown", "none [integrity] confidentiality")
    for name in ("scan_delay_ms", "scan_period_max_ms"):
        write(root, f"{DEBUGFS}/sched/numa_balancing/{name}", "1000")


def lockdown_confidentiality(root: Path) -> None:
    """Lockdown at confidentiality: no perf events with physical addresses either."""
    two_tier(root)
    write(root, "/sys/kernel/security/lockdown", "none integrity [confidentiality]")


def kvm_host(root: Path) -> None:
    """A host with KVM, and a guest of process 4711."""
    two_tier(root)
    write(root, "/dev/kvm", "")
    write(root, f"{DEBUGFS}/kvm/4711-12/vcpu0/.link", "")


def balancing_between_sockets(root: Path) -> None:
    """Two sockets between which the kernel balances, and CXL memory of each."""
    cxl(root)
    write(root, "/proc/sys/kernel/numa_balancing", "1")


def without_debugfs(root: Path) -> None:
    """Nobody has mounted debugfs."""
    two_tier(root)
    for name in ("scan_period_min_ms", "scan_size_mb"):
        remove(root, f"{DEBUGFS}/sched/numa_balancing/{name}")
    write(root, "/proc/mounts", "proc /proc proc rw 0 0")


def as_a_user(root: Path) -> None:
    """Somebody who is not root."""
    two_tier(root)
    _status(root, uid=1000)


KINDS: dict[str, Make] = {
    "plain": plain,
    "two_tier": two_tier,
    "cxl": cxl,
    "old": old,
    "arm64": arm64,
    "hbm_in_a_lower_tier_number": hbm_in_a_lower_tier_number,
    "hbm_by_hmat": hbm_by_hmat,
    "hbm_as_dax_kmem_has_it": hbm_as_dax_kmem_has_it,
    "hbm_before_memory_tiers": hbm_before_memory_tiers,
    "hbm_and_cxl": hbm_and_cxl,
    "power9_with_gpus": power9_with_gpus,
    "grace_hopper_with_cxl": grace_hopper_with_cxl,
    "one_tier": one_tier,
    "one_tier_with_hmat": one_tier_with_hmat,
    "one_tier_with_a_pmu": one_tier_with_a_pmu,
    "before_memory_tiers_with_hmat": before_memory_tiers_with_hmat,
    "zeros_in_hmat": zeros_in_hmat,
    "cxl_offline": cxl_offline,
    "cxl_partly_offline": cxl_partly_offline,
    "dimm_added_later": dimm_added_later,
    "interleaved": interleaved,
    "with_a_hole": with_a_hole,
    "cpus_on_memoryless_nodes": cpus_on_memoryless_nodes,
    "cpus_on_memoryless_nodes_without_hmat": cpus_on_memoryless_nodes_without_hmat,
    "three_tiers": three_tiers,
    "nul_after_lists": nul_after_lists,
    "many_cpus": many_cpus,
    "few_descriptors": few_descriptors,
    "paranoid_4": paranoid_4,
    "locked_memory": locked_memory,
    "secure_boot": secure_boot,
    "lockdown_confidentiality": lockdown_confidentiality,
    "kvm_host": kvm_host,
    "balancing_between_sockets": balancing_between_sockets,
    "without_debugfs": without_debugfs,
    "as_a_user": as_a_user,
}


class MadeHost(RecordedHost):
    """A made host whose kernel refuses what the files below it say that it would refuse."""

    def __init__(self, root: Path, page_size: int = 4096) -> None:
        super().__init__(root, page_size)
        self.perf = self._perf
        self._kernel = Host(root)
        """What the kernel knows, whatever it shows."""

    def _perf(self, attr: bytes, pid: int, cpu: int) -> int:  # noqa: ARG002
        rights = read_rights(self._kernel)
        paranoid = int(self._kernel.text("/proc/sys/kernel/perf_event_paranoid"))
        if lockdown(self._kernel) == "confidentiality":
            return errno.EPERM
        if rights.has("CAP_SYS_ADMIN") or (rights.has("CAP_PERFMON") and paranoid < 3):
            return 0
        return errno.EACCES

    def perf_event_open(self, attr: bytes, pid: int, cpu: int, group: int = -1) -> int:
        os.close(super().perf_event_open(attr, pid, cpu, group))
        if len(self.opened) > (hard_limit(self._kernel, "NOFILE") or 0):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return MadeRing(ring_pages(self.page_size)).descriptor

    def perf_event_ioctl(self, descriptor: int, request: int, argument: int = 0) -> None:
        """Do nothing: no event ever comes."""

    def text(self, name: str) -> str:
        self._locked(name)
        return super().text(name)

    def hold(self, name: str) -> None:
        self._locked(name)
        super().hold(name)

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        if name == "/proc/self/pagemap" and not read_rights(self._kernel).has("CAP_SYS_ADMIN"):
            return bytes(8)
        return super().read_at(name, offset, size)

    def _locked(self, name: str) -> None:
        if name.startswith(DEBUGFS) and self.exists("/sys/kernel/security/lockdown"):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)


def made(kind: str, root: Path) -> MadeHost:
    """The host of a kind."""
    make = KINDS[kind]
    make(root)
    return MadeHost(root, PAGE_SIZES.get(make, 4096))
