"""From frames to the processes that map them, as page tables tell."""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages import page_tables
from pghot.linux.pages.page_tables import find_frames, mapped_ranges
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.pages.pagemap_scan import present_parts
from pghot.linux.pages.reverse_map import NOT_YET, SHARE, ReverseMap
from pghot.linux.processes.cgroups import memcg_of
from tests.linux.host_trees import write
from tests.live.world import PAGE, World
from tests.sources.feeding import write_maps


@pytest.fixture
def world(tmp_path) -> World:
    world = World(tmp_path)
    write(tmp_path, "/sys/fs/cgroup/cgroup.controllers", "memory")
    for pid, group in ((40, "a"), (41, "b"), (42, "c")):
        world.process(pid)
        write(tmp_path, f"/sys/fs/cgroup/{group}/cgroup.procs", str(pid))
        write(tmp_path, f"/proc/{pid}/cgroup", f"0::/{group}")
    return world


def rmap(world: World, *pids: int) -> ReverseMap:
    return ReverseMap(world, lambda: dict.fromkeys(pids, 1000), world.clock.now_ns)


def asked(rmap: ReverseMap, *pfns: int) -> list[tuple[int, int]]:
    """Process and page of each frame."""
    found = rmap.find(np.array(sorted(pfns), np.uint64))
    return list(zip(found.pid.tolist(), (found.vaddr // PAGE).tolist(), strict=True))


def test_frames_are_found_in_whatever_process_maps_them(world) -> None:
    ours = [world.map(pid, 100) for pid in (40, 41, 42)]
    for pid in (40, 41, 42):
        write_maps(world, pid)
    with rmap(world, 40, 41, 42) as reverse:
        assert asked(reverse, *ours) == [(40, 100), (41, 100), (42, 100)]


def looked_through(monkeypatch) -> list[int]:
    """The processes whose page tables are gone through from now on."""
    pids = []
    real = page_tables.mapped_ranges

    def noted(host, pid):
        pids.append(pid)
        return real(host, pid)

    monkeypatch.setattr(page_tables, "mapped_ranges", noted)
    return pids


def test_those_come_first_whose_group_a_frame_is_charged_to(world, monkeypatch) -> None:
    inode = memcg_of(world, 42)
    assert inode == world.path("/sys/fs/cgroup/c").stat().st_ino
    pfn = world.map(42, 100, memcg=inode)
    write_maps(world, 42)
    pids = looked_through(monkeypatch)
    with rmap(world, 40, 41, 42) as reverse:
        assert asked(reverse, pfn) == [(42, 100)]
    assert pids == [42], "the others were not needed"


def test_a_page_may_be_charged_to_a_group_that_its_process_has_left(world) -> None:
    pfn = world.map(41, 100, memcg=memcg_of(world, 42))
    write_maps(world, 41)
    world.map(42, 7)
    write_maps(world, 42)
    with rmap(world, 40, 41, 42) as reverse:
        assert asked(reverse, pfn) == [(41, 100)]


def test_cgroup_version_1_and_none_at_all(world, tmp_path) -> None:
    assert memcg_of(world, 4711) == 0
    world.path("/sys/fs/cgroup/cgroup.controllers").unlink()
    write(tmp_path, "/sys/fs/cgroup/memory/cgroup.procs", "")
    write(tmp_path, "/sys/fs/cgroup/memory/x/cgroup.procs", "")
    write(tmp_path, "/proc/40/cgroup", "5:cpu,cpuacct:/y\n4:memory:/x\n0::/a")
    assert memcg_of(world, 40) == world.path("/sys/fs/cgroup/memory/x").stat().st_ino
    write(tmp_path, "/proc/40/cgroup", "nonsense")
    assert memcg_of(world, 40) == 0


def test_what_is_known_costs_no_other_pass(world, monkeypatch) -> None:
    pfn = world.map(40, 100)
    write_maps(world)
    with rmap(world, 40) as reverse:
        asked(reverse, pfn)
        pids = looked_through(monkeypatch)
        world.clock.ns += 10**10
        assert asked(reverse, pfn) == [(40, 100)]
        assert (pids, reverse.passes, reverse.working) == ([], 1, False)


def test_a_page_that_moved_is_let_go_and_looked_for_anew(world) -> None:
    pfn = world.map(40, 100)
    write_maps(world)
    with rmap(world, 40) as reverse:
        asked(reverse, pfn)
        world.unmap(40, 100)
        world.map(40, 300)
        write_maps(world)
        assert asked(reverse, pfn) == [(40, 100)], "for a second it is not looked at again"
        world.clock.ns += 2 * 10**9
        assert asked(reverse, pfn) == [(40, 300)]


def test_what_nobody_maps_is_said_for_a_second_and_then_looked_for_anew(world) -> None:
    pfn = world.map(40, 100)
    write_maps(world)
    with rmap(world, 40) as reverse:
        assert asked(reverse, pfn + 1) == [(0, 0)]
        world.map(40, 101)
        write_maps(world)
        assert asked(reverse, pfn + 1) == [(0, 0)]
        world.clock.ns += 2 * 10**9
        assert asked(reverse, pfn + 1) == [(40, 101)]


def test_a_pass_goes_on_where_it_stopped_and_the_next_waits_its_share(world, monkeypatch) -> None:
    monkeypatch.setattr(page_tables, "PIECE", 1)
    pfns = [world.map(40, page) for page in range(100, 106)]
    write_maps(world)
    with rmap(world, 40) as reverse:
        step = 5_000_000  # nanoseconds that go by at each look at the clock

        def now() -> int:
            world.clock.ns += step
            return world.clock.ns

        monkeypatch.setattr(reverse, "_clock", now)
        known = [asked(reverse, pfns[5])[0][0] for _ in range(7)]
        assert known == [NOT_YET] * 6 + [40], "a piece each time, and its end"
        monkeypatch.setattr(reverse, "_clock", world.clock.now_ns)
        assert asked(reverse, pfns[1]) == [(NOT_YET, 0)]
        world.clock.ns += SHARE * 20 * step
        assert asked(reverse, pfns[1]) == [(40, 101)]


def test_processes_that_have_gone_have_no_pages(world) -> None:
    with rmap(world, 40, 99) as reverse:
        assert asked(reverse, 0x100000) == [(0, 0)]


def test_mappings_that_nobody_may_access_are_stepped_over(world) -> None:
    world.map(40, 100)
    write_maps(world)  # with 16 TiB of PROT_NONE, and vsyscall
    assert mapped_ranges(world, 40) == [(100 * PAGE, 101 * PAGE)]


# On the kernel that runs here.


@pytest.fixture
def memory():
    """Five pages of 16 of our own: their address, and which they are."""
    with mmap.mmap(-1, 16 * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        pages = (1, 2, 3, 8, 15)
        for page in pages:
            memory[page * mmap.PAGESIZE] = 1
        address = ctypes.c_char.from_buffer(memory)
        yield ctypes.addressof(address), pages
        del address


def test_the_kernel_tells_which_parts_have_pages(memory) -> None:
    start, _pages = memory
    descriptor = os.open("/proc/self/pagemap", os.O_RDONLY)
    try:
        parts = list(present_parts(descriptor, start, start + 16 * mmap.PAGESIZE))
    except OSError as error:
        pytest.skip(f"this kernel has no PAGEMAP_SCAN: {error}")
    finally:
        os.close(descriptor)
    found = [((a - start) // mmap.PAGESIZE, (b - start) // mmap.PAGESIZE) for a, b in parts]
    assert found == [(1, 4), (8, 9), (15, 16)]


@pytest.mark.parametrize("told", [True, False], ids=["by the kernel", "by reading all"])
def test_our_own_frames_are_found_in_our_own_page_tables(memory, monkeypatch, told) -> None:
    def refuse(_descriptor, _start, _end):
        raise OSError("no such call")

    if not told:
        monkeypatch.setattr(page_tables, "present_parts", refuse)
        ranges = [(memory[0], memory[0] + 16 * mmap.PAGESIZE)]
        monkeypatch.setattr(page_tables, "mapped_ranges", lambda _host, _pid: ranges)
    start, pages = memory
    address = start + np.array(pages, np.uint64) * np.uint64(mmap.PAGESIZE)
    host, me = Host(), os.getpid()
    with Pagemap(host) as pagemap:
        try:
            frames = pagemap.lookup(me, address).pfn
        except InputError as hidden:
            pytest.skip(str(hidden))
        wanted = np.sort(frames)
        found = dict.fromkeys(wanted.tolist(), 0)
        for hits in find_frames(host, pagemap, me, 0, wanted, mmap.PAGESIZE):
            found |= dict(zip(hits.pfn.tolist(), hits.vaddr.tolist(), strict=True))
    assert found == dict(zip(frames.tolist(), address.tolist(), strict=True))
