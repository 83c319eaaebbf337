"""Files that are missing, or say what they cannot: one line with the file and the field."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.errors import PghotError
from pghot.linux.doctor.doctor import diagnose
from pghot.linux.nodes.allowed_nodes import mems_of, parse_policies
from pghot.linux.nodes.cpus import nodes_of_cpus, online_cpus
from pghot.linux.nodes.machine_form import machine_form, with_latencies
from pghot.linux.nodes.tiers import TIERING
from pghot.linux.nodes.topology import read_topology
from pghot.linux.processes.perf_limits import hard_limit
from pghot.live.cautions import cautions
from pghot.log.machine import Machine
from pghot.sources.choose import Choice
from tests.linux.host_trees import remove, write
from tests.linux.made_hosts import (
    BLOCK,
    GPUS,
    NODE,
    MadeHost,
    blocks_of,
    grace_hopper_with_cxl,
    hbm_as_dax_kmem_has_it,
    kvm_host,
    made,
)
from tests.linux.perf_rig import machine

ENDS = " \t\n\v\f\r\0"


class Damaged(MadeHost):
    """A host one of whose files says `content`, or is not there (None), or cannot be read (-1)."""

    name = ""
    content: str | int | None = None

    def exists(self, name: str) -> bool:
        return super().exists(name) and not (name == self.name and self.content is None)

    def text(self, name: str) -> str:
        if name != self.name:
            return super().text(name)
        if self.content is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        if isinstance(self.content, int):
            raise OSError(errno.EIO, os.strerror(errno.EIO), name)
        return self.content.strip(ENDS)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Damaged:
    """A host that has a file of every kind."""
    root = tmp_path_factory.mktemp("damaged")
    machine(root, "intel_hybrid")
    for make in (kvm_host, hbm_as_dax_kmem_has_it, grace_hopper_with_cxl):
        for old in ("sys/devices/system/node", "sys/devices/virtual/memory_tiering"):
            shutil.rmtree(root / old, ignore_errors=True)
        make(root)
    write(root, f"{NODE}0/access0/initiators/read_latency", "100")
    write(root, f"{NODE}0/access0/initiators/read_bandwidth", "200000")
    write(root, f"{NODE}3/access1/initiators/read_latency", "250")
    for nid in (0, 1, 3):
        first = (1 + nid) * 64
        blocks_of(root, nid, tuple(range(first, first + 4)), (first + 4,) if nid == 3 else ())
    write(root, "/sys/kernel/security/lockdown", "[none] integrity confidentiality")
    return Damaged(root)


def look(host: MadeHost) -> None:
    """Read all that topology, doctor, a run and its log read of a host's files."""
    topology = read_topology(host)
    form = with_latencies(machine_form(topology), topology)
    Machine.from_dict(form.content)
    cautions(host, topology, Choice(("hintfault",), ""))
    diagnose(host)


def files(root: Path) -> list[str]:
    read = ("sys/devices", "sys/bus", "sys/kernel", "proc")
    paths = [path for part in read for path in sorted((root / part).rglob("*"))]
    return [
        f"/{path.relative_to(root)}" for path in paths if path.is_file() and path.name != ".link"
    ]


words = st.text("0123456789abcfxN-,: \n\t\0.%kB", max_size=20)
numbers = st.integers(-2, 1 << 70).map(str)
ODD = st.one_of(st.none(), st.just(-1), words, numbers, st.just("٣"), st.just("0-4294967295"))


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_whatever_one_file_says_it_is_read_or_told_in_one_line(host: Damaged, data) -> None:
    host.name = data.draw(st.sampled_from(files(host.root)))
    whole = host.path(host.name).read_bytes().decode(errors="replace")
    cut = st.integers(0, len(whole)).map(lambda at: whole[:at])
    swapped = st.tuples(st.integers(0, max(len(whole) - 1, 0)), words).map(
        lambda change: whole[: change[0]] + change[1] + whole[change[0] + 1 :]
    )
    host.content = data.draw(st.one_of(ODD, cut, swapped))
    try:
        look(host)
    except PghotError as error:
        line = str(error)
        assert "\n" not in line
        assert len(line) < 400


Check = Callable[[MadeHost], object]


@pytest.mark.parametrize(
    ("name", "content", "look_at", "says"),
    [
        (f"{NODE}0/cpulist", "0-x", read_topology, "{}: '0-x': wants a list such as 0-3,8"),
        (f"{NODE}1/distance", "20 ten", read_topology, "{}: 'ten': wants a number"),
        (f"{NODE}0/meminfo", "Node 0 MemFree: 1 kB", read_topology, "{}: MemTotal: missing"),
        (f"{NODE}0/meminfo", "Node 0 MemTotal: x kB", read_topology, "{}: MemTotal: 'x': wants"),
        (f"{NODE}1/access0/initiators/read_latency", "fast", read_topology, "{}: 'fast': wants"),
        (f"{BLOCK}/block_size_bytes", "big", read_topology, "{}: 'big': wants a hexadecimal"),
        (f"{BLOCK}/block_size_bytes", "0", read_topology, "{}: '0': less than a page"),
        (f"{BLOCK}/memory8/phys_index", "8-", read_topology, "{}: '8-': wants a hexadecimal"),
        ("/proc/zoneinfo", "Node 0, zone DMA\n  present 4", read_topology, "{}: node 0, z"),
        ("/sys/devices/system/cpu/online", "all", online_cpus, "{}: 'all': wants a list"),
        (f"{NODE}0/cpulist", "1-0", nodes_of_cpus, "{}: '1-0': wants a list"),
        (f"{TIERING}/memory_tier4/nodelist", "a", read_topology, "{}: 'a': wants a list"),
        (f"{GPUS}/0000:04:00.0/numa_status", "Node: first", read_topology, "{}: Node: 'first'"),
    ],
)  # fmt: skip
def test_the_line_names_the_file_and_the_field(
    name: str, content: str, look_at: Check, says: str, tmp_path: Path
) -> None:
    host = made("two_tier", tmp_path)
    write(tmp_path, name, content)
    with pytest.raises(PghotError) as caught:
        look_at(host)
    assert str(caught.value).startswith(says.format(name))


def test_a_pfn_beyond_all_machines_is_told_with_its_zone(tmp_path: Path) -> None:
    host = made("two_tier", tmp_path)
    text = host.text("/proc/zoneinfo").replace(
        "start_pfn:           262144", f"start_pfn: {1 << 60}"
    )
    write(tmp_path, "/proc/zoneinfo", text)
    with pytest.raises(PghotError, match=r"zoneinfo: node 1, zone DMA32: start_pfn 115292150"):
        read_topology(host)


def test_without_zoneinfo_nothing_can_be_said_of_nodes(tmp_path: Path) -> None:
    host = made("two_tier", tmp_path)
    remove(tmp_path, "/proc/zoneinfo")
    with pytest.raises(PghotError, match=r"^/proc/zoneinfo: No such file or directory$"):
        read_topology(host)


@given(text=st.text("0123456789abcdef bindpreflintv:,-=() \n", max_size=200))
def test_policies_are_read_from_any_text(text: str) -> None:
    policies = parse_policies(text)
    assert len(policies.starts) == len(policies.which)
    assert (policies.which < len(policies.sets)).all()


def test_policies_by_mapping() -> None:
    policies = parse_policies(
        "7f0000000000 default anon=3 N0=3\n"
        "7f0000100000 bind:0-1 anon=3 N0=3\n"
        "7f0000200000 prefer (many):2 file=/x mapped=1 N0=1\n"
        "7f0000300000 interleave=static|balancing:0,2 N0=1\n"
        "7f0000400000 local anon=1 N1=1"
    )
    at = [0x7F00_0000_0000, 0x7F00_0010_1000, 0x7F00_0020_0000, 0x7F00_0030_0000, 0x7F00_0040_0000]

    found = policies.of(np.array([1, *at], np.uint64)).tolist()
    assert [policies.sets[one] if one >= 0 else None for one in found] == [
        None, None, {0, 1}, {2}, {0, 2}, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "nodes"),
    [
        ("", None),
        ("Name:\tx\nMems_allowed_list:\tx", None),
        ("Name:\tx\nMems_allowed_list:\t0-1,4\nThreads: 1", {0, 1, 4}),
    ],
)
def test_a_cpuset_that_is_not_told_or_makes_no_sense_forbids_nothing(status, nodes) -> None:
    assert mems_of(status) == nodes


def test_limits_that_are_none(tmp_path: Path) -> None:
    host = MadeHost(tmp_path)
    assert hard_limit(host, "NOFILE") is None
    write(tmp_path, "/proc/self/limits", "Max open files  1024  unlimited  files")
    assert hard_limit(host, "NOFILE") == 1 << 63
    write(tmp_path, "/proc/self/limits", "Max open files  1024  many  files")
    with pytest.raises(PghotError, match=r"limits: Max open files: 'many': wants a number"):
        hard_limit(host, "NOFILE")
