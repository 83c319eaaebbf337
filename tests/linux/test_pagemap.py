"""Where a process's pages are (/proc/PID/pagemap)."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.pages.pagemap import Pagemap
from tests.linux.proc_tree import PAGE, ProcTree

PRESENT = 1 << 63
SWAPPED = 1 << 62
SOFT = 1 << 55 | 1 << 56 | 1 << 58 | 1 << 61


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    tree = ProcTree(tmp_path)
    tree.process(40)
    return tree


@pytest.fixture
def pagemap(tree: ProcTree) -> Iterator[Pagemap]:
    with Pagemap(tree.host, PAGE) as pagemap:
        yield pagemap


def at(*pages: int) -> np.ndarray:
    return np.array(pages, np.uint64) * PAGE


def test_a_present_page_has_its_frame_and_soft_bits_are_left_out(
    tree: ProcTree, pagemap: Pagemap
) -> None:
    tree.pagemap(40, {3: PRESENT | SOFT | 0x1234, 5: PRESENT | ((1 << 55) - 1)})
    pfn, present = pagemap.lookup(40, at(5, 3, 4, 3) + np.uint64(17))
    assert pfn.tolist() == [(1 << 55) - 1, 0x1234, 0, 0x1234]
    assert present.tolist() == [True, True, False, True]


def test_a_swapped_page_is_not_present_and_has_no_frame(tree: ProcTree, pagemap: Pagemap) -> None:
    tree.pagemap(40, {3: SWAPPED | 0x777})
    pfn, present = pagemap.lookup(40, at(3))
    assert (pfn.tolist(), present.tolist()) == ([0], [False])


def test_page_size_is_the_machines(tree: ProcTree) -> None:
    tree.pagemap(40, {1: PRESENT | 9})
    with Pagemap(tree.host, 65536) as pagemap:
        assert pagemap.lookup(40, np.array([65536 + 4096], np.uint64)).pfn.tolist() == [9]


def test_hidden_frames_are_an_error_that_names_the_capability(
    tree: ProcTree, pagemap: Pagemap
) -> None:
    tree.pagemap(40, {3: PRESENT, 4: 0})
    assert not pagemap.lookup(40, at(4)).present.any()
    with pytest.raises(InputError, match=r"^/proc/40/pagemap: .*CAP_SYS_ADMIN"):
        pagemap.lookup(40, at(3, 4))


def test_of_a_process_that_never_was_nothing_is_present(pagemap: Pagemap) -> None:
    assert not pagemap.lookup(41, at(1, 2)).present.any()


def test_of_a_process_that_went_while_its_file_was_open_nothing_is_present(
    tree: ProcTree, pagemap: Pagemap
) -> None:
    tree.pagemap(40, {3: PRESENT | 7})
    assert pagemap.lookup(40, at(3), 1000).present.all()
    os.truncate(tree.root / "proc/40/pagemap", 0)  # as the kernel: the open file reads empty
    tree.gone(40)
    assert not pagemap.lookup(40, at(3), 1000).present.any()


def test_after_exec_the_new_address_space_is_seen(tree: ProcTree, pagemap: Pagemap) -> None:
    tree.pagemap(40, {3: PRESENT | 7})
    assert pagemap.lookup(40, at(3), 1000).pfn.tolist() == [7]
    os.truncate(tree.root / "proc/40/pagemap", 0)
    tree.pagemap(40, {3: PRESENT | 8})
    assert pagemap.lookup(40, at(3), 1000).pfn.tolist() == [8]


def test_a_forgotten_process_is_opened_anew(tree: ProcTree, pagemap: Pagemap) -> None:
    tree.pagemap(40, {3: PRESENT | 7})
    pagemap.lookup(40, at(3))
    tree.pagemap(40, {3: PRESENT | 8})
    assert pagemap.lookup(40, at(3)).pfn.tolist() == [7]
    pagemap.forget(40)
    assert pagemap.lookup(40, at(3)).pfn.tolist() == [8]


def test_a_pid_that_came_again_is_another_process(tree: ProcTree, pagemap: Pagemap) -> None:
    tree.process(40, starttime=2000)
    tree.pagemap(40, {3: PRESENT | 7})
    assert not pagemap.lookup(40, at(3), starttime=1000).present.any()
    assert pagemap.lookup(40, at(3), starttime=2000).present.all()


def test_few_files_are_kept_open(tree: ProcTree) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    with Pagemap(tree.host, PAGE, open_files=3) as pagemap:
        for pid in range(100, 120):
            tree.process(pid)
            tree.pagemap(pid, {3: PRESENT | pid})
            assert pagemap.lookup(pid, at(3)).pfn.tolist() == [pid]
        assert pagemap.lookup(100, at(3)).pfn.tolist() == [100]
        assert descriptors() == before + 3
    assert descriptors() == before


def test_no_addresses_need_no_process(pagemap: Pagemap) -> None:
    pfn, present = pagemap.lookup(40, at())
    assert len(pfn) == len(present) == 0


def own_memory(pages: int) -> tuple[mmap.mmap, int]:
    memory = mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return memory, ctypes.addressof(ctypes.c_char.from_buffer(memory))


def test_on_this_kernel_own_pages_are_present_once_written() -> None:
    memory, address = own_memory(64)
    for page in range(0, 64, 2):
        memory[page * mmap.PAGESIZE] = 1
    addresses = np.uint64(address) + np.arange(64, dtype=np.uint64) * np.uint64(mmap.PAGESIZE)
    with Pagemap(Host()) as pagemap:
        try:
            pfn, present = pagemap.lookup(os.getpid(), addresses)
        except InputError as error:
            pytest.skip(str(error))
    assert present[::2].all()
    assert len(set(pfn[::2].tolist())) == 32


def test_on_this_kernel_a_process_that_exits_vanishes_quietly() -> None:
    code = "import mmap, time; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        child.stdout.readline()
        maps = Path(f"/proc/{child.pid}/maps").read_text()
        start = int(maps.split("-")[0], 16)
        with Pagemap(Host()) as pagemap:
            addresses = np.array([start], np.uint64)
            try:
                assert pagemap.lookup(child.pid, addresses).present.all()
            except InputError as error:
                child.communicate(b"\n")
                pytest.skip(str(error))
            child.communicate(b"\n")
            assert not pagemap.lookup(child.pid, addresses).present.any()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
def test_on_this_kernel_a_user_without_rights_is_told_which_are_missing() -> None:
    code = textwrap.dedent("""
        import ctypes, mmap, os
        import numpy as np
        from pghot.errors import InputError
        from pghot.linux.host import Host
        from pghot.linux.pages.pagemap import Pagemap
        Pagemap(Host()).lookup(os.getpid(), np.zeros(1, np.uint64))  # and load it all
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0  # PR_SET_DUMPABLE: may see itself
        memory = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory[0] = 1
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for pid in (os.getpid(), os.getppid()):
            try:
                Pagemap(Host()).lookup(pid, np.array([address], np.uint64))
            except InputError as error:
                print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own, others = done.stdout.splitlines()
    assert "CAP_SYS_ADMIN" in own
    assert "CAP_SYS_PTRACE" in others
