"""Moving batches, and what became of every page (move_pages)."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.reasons import MOVE_PAGES
from pghot.linux.host import Host
from pghot.linux.pages import move_pages
from pghot.linux.pages.move_pages import MoveCounts, MovedPages, move_batch

PAGE = 4096
FAST, SLOW = 0, 1
UNWRITTEN = -errno.EAGAIN


class Kernel(Host):
    """A host whose move_pages is do_pages_move() of mm/migrate.c, over made-up pages.

    `pages` says where each is; `isolate` the errno with which one refuses to be queued;
    `pinned` are those that are queued and then stay.  `room` pages fit on the fast node.
    """

    def __init__(self, pages: dict[int, int], room: int = 1 << 30) -> None:
        super().__init__("/nonexistent")
        self.pages = pages
        self.isolate: dict[int, int] = {}
        self.pinned: set[int] = set()
        self.room = room
        self.calls: list[list[int]] = []

    def move_pages(self, pid, addresses, nodes):  # noqa: ARG002
        pages = (addresses // PAGE).tolist()
        if nodes is None:
            return np.array([self.pages.get(page, -errno.ENOENT) for page in pages], np.int32)
        self.calls.append(pages)
        status = np.full(len(pages), UNWRITTEN, np.int32)
        queue: list[int] = []
        for index, page in enumerate(pages):
            where = self.pages.get(page, -errno.ENOENT)
            if where == SLOW and page not in self.isolate:
                queue.append(index)
                continue
            refusal = -self.isolate.get(page, 0) if where == SLOW else where
            status[index] = refusal
            if not self.flush(pages, queue, status):
                return status
            queue = []
        self.flush(pages, queue, status)
        return status

    def flush(self, pages: list[int], queue: list[int], status: np.ndarray) -> bool:
        stayed = False
        for index in queue:
            if pages[index] in self.pinned:
                stayed = True
            elif self.room == 0:
                raise OSError(errno.ENOMEM, "move_pages: Cannot allocate memory")
            else:
                self.room -= 1
                self.pages[pages[index]] = FAST
        if not stayed:
            status[queue] = FAST
        return not stayed


class Refusing(Host):
    """A host whose move_pages fails as a whole."""

    def __init__(self, code: int) -> None:
        super().__init__("/nonexistent")
        self.code = code

    def move_pages(self, pid, addresses, nodes):  # noqa: ARG002
        raise OSError(self.code, os.strerror(self.code))


def at(*pages: int) -> np.ndarray:
    return np.array(pages, np.uint64) * PAGE


def test_a_batch_moves_in_one_call() -> None:
    kernel = Kernel({1: SLOW, 2: SLOW, 3: FAST})
    batch = move_batch(kernel, 40, at(1, 2, 3), FAST)
    assert batch.statuses.tolist() == [FAST] * 3
    assert batch.moved.all()
    assert len(kernel.calls) == 1


def test_a_page_that_cannot_be_queued_has_its_own_errno_and_others_move() -> None:
    kernel = Kernel({1: SLOW, 2: SLOW, 3: SLOW})
    kernel.isolate = {2: errno.EACCES}
    batch = move_batch(kernel, 40, at(1, 2, 3, 4), FAST)
    assert batch.statuses.tolist() == [FAST, -errno.EACCES, FAST, -errno.ENOENT]
    assert batch.names() == {"moved": 2, "EACCES": 1, "ENOENT": 1}


def test_a_pinned_page_holds_back_neither_its_run_nor_those_behind() -> None:
    kernel = Kernel(dict.fromkeys(range(1, 8), SLOW))
    kernel.pinned = {2}
    kernel.isolate = {4: errno.EBUSY}
    batch = move_batch(kernel, 40, at(*range(1, 8)), FAST)
    assert batch.names() == {"moved": 5, "EBUSY": 2}
    assert batch.statuses[[1, 3]].tolist() == [-errno.EBUSY] * 2
    assert kernel.calls == [[1, 2, 3, 4, 5, 6, 7], [5, 6, 7]]


@given(
    outcomes=st.lists(
        st.sampled_from(["moves", "there", "absent", "pinned", errno.EBUSY, errno.EACCES]),
        max_size=40,
    )
)
def test_every_page_that_can_move_does_and_every_other_has_its_reason(
    outcomes: list[str | int],
) -> None:
    kernel = Kernel({n: SLOW for n, fate in enumerate(outcomes) if fate != "absent"})
    kernel.pages.update({n: FAST for n, fate in enumerate(outcomes) if fate == "there"})
    kernel.pinned = {n for n, fate in enumerate(outcomes) if fate == "pinned"}
    kernel.isolate = {n: fate for n, fate in enumerate(outcomes) if isinstance(fate, int)}
    expected = {"moves": FAST, "there": FAST, "absent": -errno.ENOENT, "pinned": -errno.EBUSY}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(move_pages, "PASSES", 100)
        batch = move_batch(kernel, 40, at(*range(len(outcomes))), FAST)
    assert batch.statuses.tolist() == [
        -fate if isinstance(fate, int) else expected[fate] for fate in outcomes
    ]


def test_calls_for_one_batch_are_bounded_and_the_rest_is_told_as_not_tried() -> None:
    pages = range(4 * move_pages.PASSES)
    kernel = Kernel(dict.fromkeys(pages, SLOW))
    kernel.pinned = {page for page in pages if page % 2 == 0}
    kernel.isolate = dict.fromkeys((page for page in pages if page % 2), errno.EACCES)
    batch = move_batch(kernel, 40, at(*pages), FAST)
    assert len(kernel.calls) == move_pages.PASSES
    assert batch.names() == {"EBUSY": 4, "EACCES": 4, "EAGAIN": len(pages) - 8}


def test_a_target_that_fills_up_half_way_keeps_what_has_moved() -> None:
    kernel = Kernel(dict.fromkeys((1, 2, 3), SLOW), room=2)
    batch = move_batch(kernel, 40, at(1, 2, 3, 4), FAST)
    assert batch.statuses.tolist() == [FAST, FAST, -errno.ENOMEM, -errno.ENOENT]
    assert batch.call_errno == errno.ENOMEM


def test_a_process_that_vanishes_half_way_is_told() -> None:
    class Vanishing(Kernel):
        def move_pages(self, pid, addresses, nodes):
            if nodes is None:
                raise ProcessLookupError(errno.ESRCH, "move_pages: No such process")
            return super().move_pages(pid, addresses, nodes)

    kernel = Vanishing({1: SLOW, 2: SLOW})
    kernel.pinned = {2}
    assert move_batch(kernel, 40, at(1, 2), FAST).names() == {"ESRCH": 2}


@pytest.mark.parametrize("code", [errno.ESRCH, errno.EPERM, errno.ENODEV, errno.ENOMEM])
def test_a_call_that_fails_gives_every_page_its_errno(code: int) -> None:
    batch = move_batch(Refusing(code), 40, at(1, 2), FAST)
    assert batch.names() == {errno.errorcode[code]: 2}
    assert not batch.moved.any()


def test_a_cpuset_that_forbids_the_node_is_not_a_shared_page() -> None:
    assert move_batch(Refusing(errno.EACCES), 40, at(1), FAST).names() == {"EACCES_CPUSET": 1}


def test_a_kernel_without_the_call_is_an_error() -> None:
    with pytest.raises(OSError, match="not implemented"):
        move_batch(Refusing(errno.ENOSYS), 40, at(1), FAST)


def test_outcomes_are_counted_by_name_and_told_in_plain_words() -> None:
    outcome = MoveCounts()
    outcome.add(MovedPages(np.array([0, 0, 1, -errno.EBUSY, -errno.EPIPE], np.int32), 0))
    outcome.add(MovedPages(np.array([0, -errno.EBUSY], np.int32), 0))
    assert outcome.counts == {"moved": 3, "elsewhere": 1, "EBUSY": 2, "other": 1}
    assert outcome.refused == 4
    assert outcome.lines() == [
        "moved 3: on the node asked for",
        f"elsewhere 1: {MOVE_PAGES['elsewhere']}",
        f"EBUSY 2: {MOVE_PAGES['EBUSY']}",
        "other 1: another error",
    ]


@pytest.mark.parametrize(
    "name", sorted(name for name in MOVE_PAGES if name in errno.errorcode.values())
)
def test_every_reason_is_named_as_the_kernel_names_it(name: str) -> None:
    status = -getattr(errno, name)
    assert MovedPages(np.array([status], np.int32), 0).names() == {name: 1}


def own_pages(pages: int) -> tuple[mmap.mmap, np.ndarray]:
    size = mmap.PAGESIZE
    memory = mmap.mmap(-1, pages * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return memory, np.uint64(address) + np.arange(pages, dtype=np.uint64) * np.uint64(size)


def answer(pid: int, addresses: np.ndarray, nid: int) -> MovedPages:
    try:
        return move_batch(Host(), pid, addresses, nid)
    except OSError as error:
        pytest.skip(str(error))


def test_on_this_kernel_own_pages_are_where_they_are_and_absent_ones_told() -> None:
    memory, addresses = own_pages(8)
    for page in range(4):
        memory[page * mmap.PAGESIZE] = page + 1
    try:
        found = Host().move_pages(os.getpid(), addresses, None)
    except OSError as error:
        pytest.skip(str(error))
    nid = int(found[0])
    batch = answer(os.getpid(), addresses[found >= 0], nid)
    assert batch.moved.all()
    assert answer(os.getpid(), addresses[4:], nid).names().keys() <= {"ENOENT", "EFAULT"}
    assert [memory[page * mmap.PAGESIZE] for page in range(4)] == [1, 2, 3, 4]


def test_on_this_kernel_a_node_that_does_not_exist_is_told() -> None:
    memory, addresses = own_pages(1)
    memory[0] = 1
    assert answer(os.getpid(), addresses, 900).names() == {"ENODEV": 1}


def test_on_this_kernel_a_vanished_process_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert answer(child.pid, at(16), 0).names() == {"ESRCH": 1}
