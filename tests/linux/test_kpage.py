"""Facts of page frames (/proc/kpageflags, /proc/kpagecgroup)."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages import kpf
from pghot.linux.pages.kpage import KPages
from pghot.linux.pages.pagemap import Pagemap
from pghot.linux.processes.cgroups import cgroup_inodes
from tests.linux.proc_tree import write_entries

ANON = 1 << kpf.KPF_ANON | 1 << kpf.KPF_MMAP | 1 << kpf.KPF_UPTODATE | 1 << kpf.KPF_SWAPBACKED
LRU = ANON | 1 << kpf.KPF_LRU
HEAD = 1 << kpf.KPF_COMPOUND_HEAD
TAIL = 1 << kpf.KPF_COMPOUND_TAIL
THP = 1 << kpf.KPF_THP


def kpages(root: Path, flags: list[int], cgroups: list[int] | None = None) -> KPages:
    (root / "proc").mkdir(exist_ok=True)
    write_entries(root / "proc/kpageflags", dict(enumerate(flags)))
    if cgroups is not None:
        write_entries(root / "proc/kpagecgroup", dict(enumerate(cgroups)))
    return KPages(Host(root))


def pfns(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def words(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def test_flags_are_those_of_the_frames_and_a_hole_after_the_last(tmp_path: Path) -> None:
    with kpages(tmp_path, [LRU, 0, ANON]) as pages:
        assert pages.flags(pfns(2, 0, 900)).tolist() == [ANON, LRU, 1 << kpf.KPF_NOPAGE]


def test_cgroups_are_inode_numbers(tmp_path: Path) -> None:
    with kpages(tmp_path, [LRU, LRU], [0, 7117]) as pages:
        assert pages.cgroups(pfns(1, 0)).tolist() == [7117, 0]


def test_without_kpagecgroup_every_page_is_of_memcg_0(tmp_path: Path) -> None:
    with kpages(tmp_path, [LRU, LRU]) as pages:
        assert pages.cgroups(pfns(1, 0)).tolist() == [0, 0]


def test_without_kpageflags_one_line_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^/proc/kpageflags: not there; .*PAGE_MONITOR$"):
        KPages(Host(tmp_path))


@st.composite
def memories(draw: st.DrawFn) -> list[int]:
    """The order of each folio from frame 0 on, each at a multiple of its size."""
    orders: list[int] = []
    end = 0
    for order in draw(st.lists(st.integers(0, 9), min_size=1, max_size=12)):
        while end % (1 << order):
            orders.append(0)
            end += 1
        orders.append(order)
        end += 1 << order
    return orders


@given(orders=memories(), thp=st.booleans(), repeated=st.booleans())
@settings(max_examples=60, deadline=None)
def test_head_and_size_are_found_for_folios_of_every_order(
    tmp_path_factory: pytest.TempPathFactory, orders: list[int], thp: bool, repeated: bool
) -> None:
    """Whether the kernel marks large folios as THP, or repeats the folio's flags at its tails."""
    flags, heads, sizes = [], [], {}
    for order in orders:
        size, head = 1 << order, len(flags)
        extra = THP if thp and order else 0
        flags += [LRU | extra | (HEAD if order else 0)]
        flags += [TAIL | extra | (LRU if repeated else 0)] * (size - 1)
        heads += [head] * size
        sizes[head] = size
    with kpages(tmp_path_factory.mktemp("memory"), flags) as pages:
        every = np.arange(len(flags), dtype=np.uint64)
        found = pages.heads(every)
        assert found.tolist() == heads
        assert pages.heads(every[::-1], pages.flags(every[::-1])).tolist() == heads[::-1]
        firsts = np.unique(found)
        assert dict(zip(firsts.tolist(), pages.folio_pages(firsts).tolist(), strict=True)) == sizes


def test_a_tail_whose_head_has_just_gone_stands_alone(tmp_path: Path) -> None:
    with kpages(tmp_path, [0, 0, 0, TAIL]) as pages:
        assert pages.heads(pfns(3)).tolist() == [3]


def test_what_is_on_the_lru_is_movable_mlocked_or_not() -> None:
    flags = words(LRU, LRU | 1 << kpf.KPF_UNEVICTABLE | 1 << kpf.KPF_MLOCKED, 0)
    assert kpf.on_lru(flags).tolist() == [True, True, False]
    assert kpf.movable(flags).tolist() == [True, True, False]


def test_a_page_just_faulted_in_is_movable_though_not_on_the_lru_yet() -> None:
    assert not kpf.on_lru(words(ANON)).any()
    assert kpf.movable(words(ANON)).all()


@pytest.mark.parametrize(
    "bit",
    [
        kpf.KPF_HUGE,
        kpf.KPF_HWPOISON,
        kpf.KPF_NOPAGE,
        kpf.KPF_OFFLINE,
        kpf.KPF_ZERO_PAGE,
        kpf.KPF_PGTABLE,
        kpf.KPF_RESERVED,
    ],
)
def test_hugetlb_broken_and_special_pages_are_not_movable(bit: int) -> None:
    assert not kpf.movable(words(LRU | 1 << bit)).any()


@pytest.mark.parametrize("flags", [0, 1 << kpf.KPF_BUDDY, 1 << kpf.KPF_NOPAGE])
def test_a_frame_that_nobody_has_was_freed(flags: int) -> None:
    assert kpf.freed(words(flags)).all()
    assert not kpf.movable(words(flags)).any()


@pytest.mark.parametrize("bit", [kpf.KPF_SLAB, kpf.KPF_PGTABLE, kpf.KPF_RESERVED, kpf.KPF_HUGE])
def test_a_frame_that_somebody_has_was_not(bit: int) -> None:
    assert not kpf.freed(words(1 << bit, LRU, ANON)).any()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("LRU", 5),
        ("BUDDY", 10),
        ("COMPOUND_HEAD", 15),
        ("COMPOUND_TAIL", 16),
        ("HUGE", 17),
        ("UNEVICTABLE", 18),
        ("NOPAGE", 20),
        ("THP", 22),
        ("ZERO_PAGE", 24),
        ("RESERVED", 32),
        ("MLOCKED", 33),
    ],
)
def test_bits_have_the_kernels_numbers(name: str, number: int) -> None:
    assert getattr(kpf, f"KPF_{name}") == number


def test_on_this_kernel_a_written_page_is_movable_and_of_our_memcg() -> None:
    memory = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[0] = 1
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    host = Host()
    try:
        with Pagemap(host) as pagemap, KPages(host) as pages:
            pfn = pagemap.lookup(os.getpid(), np.array([address], np.uint64)).pfn
            heads = pages.heads(pfn)
            flags, cgroup = pages.flags(heads), int(pages.cgroups(heads)[0])
    except InputError as error:
        pytest.skip(str(error))
    assert kpf.movable(flags).all()
    assert kpf.has(flags, kpf.KPF_ANON).all()
    try:
        path = cgroup_inodes(host).get(cgroup)
    except InputError as error:
        pytest.skip(str(error))
    if cgroup == 0 or path is None:
        pytest.skip(f"memcg {cgroup} is not in the tree seen here")
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    assert path in {line.split(":", 2)[2] for line in groups}
