"""Recorded hosts: proc and sysfs trees in the shape that kernels give them, trimmed by hand.

A tree is a few figures here and some tens of files in a directory of the test.
"""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pghot.linux.host import Host

ZONE = """\
Node {node}, zone {name:>8}
{per_node}  pages free     {free}
        boost    0
        min      {min}
        low      {low}
        high     {high}
{promo}        spanned  {spanned}
        present  {present}
        managed  {managed}
        cma      0
        protection: (0, 0, 0, {protection}, {protection})
"""
PER_NODE = """\
  per-node stats
      nr_inactive_anon 17982
      nr_free_cma  7
      pgpromote_success 0
      nr_kernel_file_pages 0
"""
POPULATED = """\
      nr_free_pages {free}
      nr_zone_inactive_anon 3
  pagesets
    cpu: 0
              count:    3062
              high:     9463
              batch:    63
              high_min: 3548
              high_max: 24576
  vm stats threshold: 20
  node_unreclaimable:  0
  start_pfn:           {start_pfn}
"""

SECTION = 32768


@dataclass(frozen=True)
class Z:
    """A zone; `present` 0 makes it an unpopulated one."""

    name: str
    start_pfn: int
    spanned: int
    present: int = -1
    free: int = 1000
    promo: int | None = 400
    protection: int = 0

    def text(self, node: int, first: bool) -> str:
        present = self.spanned if self.present < 0 else self.present
        values = {
            "node": node, "name": self.name, "free": self.free, "spanned": self.spanned,
            "present": present, "managed": present, "start_pfn": self.start_pfn,
            "per_node": PER_NODE if first else "",
            "min": 100, "low": 200, "high": 300, "protection": self.protection,
            "promo": "" if self.promo is None else f"        promo    {self.promo}\n",
        }  # fmt: skip
        return ZONE.format(**values) + (POPULATED.format(**values) if present else "")


@dataclass(frozen=True)
class N:
    """A node; `hmat` is access class to (initiators, latency, bandwidth)."""

    id: int
    cpus: str
    distance: str
    zones: tuple[Z, ...] = ()
    blocks: tuple[int, ...] = ()
    offline: tuple[int, ...] = ()
    hmat: dict[int, tuple[tuple[int, ...], int, int]] = field(default_factory=dict)

    def kib(self, page_size: int) -> int:
        pages = sum(z.spanned if z.present < 0 else z.present for z in self.zones)
        return pages * page_size >> 10


def write(root: Path, name: str, text: str | bytes) -> None:
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else (text + "\n").encode())


def remove(root: Path, name: str) -> None:
    (root / name.lstrip("/")).unlink()


def write_nodes(
    root: Path, nodes: tuple[N, ...], tiers: dict[int, str], page_size: int = 4096
) -> None:
    zoneinfo = ""
    for node in nodes:
        place = f"/sys/devices/system/node/node{node.id}"
        total = node.kib(page_size)
        write(root, f"{place}/cpulist", node.cpus)
        write(root, f"{place}/distance", node.distance)
        write(
            root,
            f"{place}/meminfo",
            f"Node {node.id} MemTotal:{total:>15} kB\nNode {node.id} MemFree:{total // 2:>16} kB\n"
            f"Node {node.id} MemUsed:{total - total // 2:>16} kB",
        )
        for number in (*node.blocks, *node.offline):
            write(root, f"{place}/memory{number}/.link", "")
            block = f"/sys/devices/system/memory/memory{number}"
            write(root, f"{block}/phys_index", f"{number:08x}")
            write(root, f"{block}/state", "offline" if number in node.offline else "online")
        for access_class, (initiators, latency, bandwidth) in node.hmat.items():
            access = f"{place}/access{access_class}/initiators"
            for initiator in initiators:
                write(root, f"{access}/node{initiator}/.link", "")
            for kind in ("read", "write"):
                write(root, f"{access}/{kind}_latency", f"{latency}")
                write(root, f"{access}/{kind}_bandwidth", f"{bandwidth}")
        zoneinfo += "".join(z.text(node.id, not i) for i, z in enumerate(node.zones))
    ids = ",".join(str(node.id) for node in nodes)
    write(root, "/sys/devices/system/node/online", ids)
    write(root, "/sys/devices/system/node/possible", ids)
    write(root, "/proc/zoneinfo", zoneinfo)
    for number, nodelist in tiers.items():
        write(root, f"/sys/devices/virtual/memory_tiering/memory_tier{number}/nodelist", nodelist)


ROOT_STATUS = """\
Name:	pghot
Uid:	0	0	0	0
CapInh:	0000000000000000
CapEff:	000001ffffffffff"""
USER_STATUS = """\
Name:	pghot
Uid:	1000	1000	1000	1000
CapInh:	0000000000000000
CapEff:	0000000000000000"""


LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         8388608              8388608              bytes
Max open files            1024                 1048576              files"""


def write_kernel(root: Path, hz: int | None = 250) -> None:
    """Write what a 6.12 kernel with everything shows to root."""
    write(root, "/proc/sys/kernel/osrelease", "6.12.94+deb13-amd64")
    write(root, "/proc/sys/kernel/random/boot_id", "6f2c9b1e-0000-4000-8000-000000000001")
    if hz:
        write(
            root,
            "/boot/config-6.12.94+deb13-amd64",
            f'#\n# Linux/x86 Kernel Configuration\nCONFIG_LSM="landlock"\nCONFIG_HZ={hz}',
        )
    write(root, "/proc/self/status", ROOT_STATUS)
    write(root, "/proc/self/pagemap", "")
    write(root, "/proc/self/limits", LIMITS)
    write(root, "/proc/kpageflags", b"\0" * 8)
    write(root, "/proc/kpagecgroup", b"\0" * 8)
    write(root, "/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse2 hypervisor lahf_lm")
    write(root, "/proc/mounts", "debugfs /sys/kernel/debug debugfs rw,nosuid 0 0")
    write(root, "/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority")
    for name, value in {
        "numa_balancing": "0",
        "numa_balancing_promote_rate_limit_MBps": "65536",
        "perf_event_paranoid": "3",
        "perf_event_mlock_kb": "516",
        "perf_event_max_sample_rate": "100000",
    }.items():
        write(root, f"/proc/sys/kernel/{name}", value)
    write(root, "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "1000")
    write(root, "/sys/kernel/debug/sched/numa_balancing/scan_size_mb", "256")
    write(root, "/sys/kernel/mm/numa/demotion_enabled", "false")
    write(root, "/sys/devices/system/cpu/online", "0-1")
    for pmu in ("software", "tracepoint", "msr", "breakpoint"):
        write(root, f"/sys/bus/event_source/devices/{pmu}/type", "1")


def plain(root: Path) -> None:
    """One node of 4 GiB, all of it fast; DMA, DMA32, Normal and two empty zones."""
    zones = (
        Z("DMA", 1, 4095, 3998, 3840, 94),
        Z("DMA32", 4096, 1044480, 782336, 500000, 19531),
        Z("Normal", 1048576, 262144, -1, 20000, 9935),
        Z("Movable", 0, 0, 0),
        Z("Device", 0, 0, 0),
    )
    blocks = (*range(24), *range(32, 40))
    write_nodes(root, (N(0, "0-3", "10", zones, blocks),), {4: "0"})
    write(root, "/sys/devices/system/memory/block_size_bytes", "8000000")
    write_kernel(root)


def two_tier(root: Path) -> None:
    """QEMU q35 with HMAT: 1 GiB of DRAM, and 2 GiB without CPUs around the PCI hole."""
    fast = (Z("DMA", 1, 4095, 3998, 3000, 90), Z("DMA32", 4096, 258048, -1, 90000, 3000))
    slow = (
        Z("DMA32", 262144, 262144, -1, 200000, 4000),
        Z("Normal", 1048576, 262144, -1, 250000, 4100),
    )
    nodes = (
        N(0, "0-1", "10 50", fast, tuple(range(8)), (), {0: ((0,), 80, 102400)}),
        N(1, "", "50 10", slow, (*range(8, 16), *range(32, 40)), (), {0: ((0,), 400, 20480)}),
    )
    write_nodes(root, nodes, {4: "0", 112: "1"})
    write(root, "/sys/devices/system/memory/block_size_bytes", "8000000")
    write_kernel(root)


def cxl(root: Path) -> None:
    """Two sockets (0, 1) and two CXL devices (4, 5), ids with holes; node 5 is half online."""
    gib = 1 << 18
    nodes = (
        N(0, "0-31,64-95", "10 21 14 24", (Z("Normal", 8 * gib, 8 * gib),)),
        N(1, "32-63,96-127", "21 10 24 14", (Z("Normal", 16 * gib, 8 * gib),)),
        N(4, "", "14 24 10 26", (Z("Movable", 32 * gib, 4 * gib),), (16, 17),
          (), {0: ((0,), 250, 30000), 1: ((0,), 255, 30000)}),
        N(5, "", "24 14 26 10", (Z("Movable", 36 * gib, 4 * gib, 2 * gib),), (18,), (19,),
          {0: ((1,), 250, 30000)}),
    )  # fmt: skip
    write_nodes(root, nodes, {4: "0-1", 22: "4-5"})
    write(root, "/sys/devices/system/memory/block_size_bytes", "80000000")
    write_kernel(root, hz=1000)


def old(root: Path) -> None:
    """A kernel without memory tiers, memory blocks, promo watermarks or tiering mode."""
    zones = (
        (Z("DMA32", 4096, 258048, promo=None),),
        (Z("Normal", 262144, 262144, promo=None),),
    )
    write_nodes(root, (N(0, "0-1", "10 20", zones[0]), N(1, "", "20 10", zones[1])), {})
    write_kernel(root, hz=None)
    remove(root, "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps")
    remove(root, "/sys/kernel/mm/numa/demotion_enabled")
    remove(root, "/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms")
    write(root, "/proc/sys/kernel/numa_balancing_scan_period_min_ms", "1000")


def arm64(root: Path) -> None:
    """An arm64 machine with 64 KiB pages, and blocks and sections of 512 MiB."""
    fast = (Z("DMA", 32768, 32768, -1, 10000, 500),)
    slow = (Z("Movable", 131072, 65536, -1, 60000, 600),)
    nodes = (
        N(0, "0-79", "10 80", fast, (4, 5, 6, 7)),
        N(1, "", "80 10", slow, tuple(range(16, 24))),
    )
    write_nodes(root, nodes, {4: "0", 961: "1"}, 65536)
    write(root, "/sys/devices/system/memory/block_size_bytes", "20000000")
    write_kernel(root, hz=None)
    config = gzip.compress(b"CONFIG_ARM64_64K_PAGES=y\nCONFIG_HZ=100\n")
    write(root, "/proc/config.gz", config)


PAGE_SIZES = {arm64: 65536}


class RecordedHost(Host):
    """A recorded tree; its system calls do what the test says."""

    def __init__(self, root: Path, page_size: int = 4096) -> None:
        super().__init__(root)
        self.page_size = page_size
        self.perf: Callable[[bytes, int, int], int] = lambda *_: 0
        self.moved: int = 0
        self.pfn = 77
        self.opened: list[tuple[bytes, int, int]] = []

    def sysconf(self, name: str) -> int:
        assert name in {"SC_PAGE_SIZE", "SC_CLK_TCK"}
        if name == "SC_CLK_TCK":
            return 100
        return self.page_size

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        if name == "/proc/self/pagemap" and self.exists(name):
            return (1 << 63 | self.pfn).to_bytes(8, "little")
        return super().read_at(name, offset, size)

    def perf_event_open(self, attr: bytes, pid: int, cpu: int, group: int = -1) -> int:
        assert group == -1 or os.fstat(group)
        self.opened.append((attr, pid, cpu))
        if code := self.perf(attr, pid, cpu):
            raise OSError(code, os.strerror(code))
        return os.open(os.devnull, os.O_RDONLY)

    def node_of_page(self, address):
        assert address > 0
        if self.moved == -errno.ENOSYS:
            raise OSError(errno.ENOSYS, "move_pages: Function not implemented")
        return self.moved


def host(make: Callable[[Path], None], root: Path) -> RecordedHost:
    """Write a tree below `root` and give the host."""
    make(root)
    return RecordedHost(root, PAGE_SIZES.get(make, 4096))
