"""Folios and frames: whatever is done to them, each folio is whole and in one place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pghot.engine.mem_map import Known
from pghot.engine.page_flags import COMPOUND, OFF_LRU, UNMOVABLE, UNREFERENCED
from pghot.simulated.machine.frames import NONE
from pghot.simulated.machine.memory import SimNode, SimulatedMemory
from pghot.simulated.machine.watermarks import Watermarks
from tests.simulated.invariants import check_memory

MIN = 8
SECTION = 32768
MARKS = Watermarks(MIN, 16, 24, 32)


def memory_of(*pages: int) -> SimulatedMemory:
    """Give nodes of so many pages, the first in the top tier."""
    return SimulatedMemory(
        SimNode(nid, nid * 2 * SECTION, size, SECTION, nid == 0, (), MARKS)
        for nid, size in enumerate(pages)
    )


def folios(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


def plain(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.zeros(count, np.uint8)


class Moves(RuleBasedStateMachine):
    """Folios of both sizes, allocated and moved among three nodes, two of them too small."""

    NODES = st.sampled_from([0, 1, 2])

    @initialize()
    def machine(self) -> None:
        self.memory = memory_of(1200, 5000, 1600)
        flags = np.array([0, OFF_LRU, UNMOVABLE] * 300, np.uint8)
        self.memory.add_folios(900, 1, 5, flags)
        self.memory.add_folios(4, 512, 6, plain(4))
        self.free = [1200, 5000, 1600]

    def chosen(self, data: st.DataObject, wanted: np.ndarray) -> np.ndarray:
        """Choose some folios, each once; sometimes many."""
        found = np.flatnonzero(wanted)
        if not len(found):
            return found
        start = data.draw(st.integers(0, len(found) - 1))
        return np.roll(found, -start)[: data.draw(st.sampled_from([1, 3, 100, 600]))]

    @rule(data=st.data(), nid=NODES, reserve=st.sampled_from([0, MIN, 700]))
    def allocate(self, data: st.DataObject, nid: int, reserve: int) -> None:
        some = self.chosen(data, self.memory.folios.nid == NONE)
        got = self.memory.allocate(some, nid, reserve)
        self.free[nid] -= int(self.memory.folios.pages[some[got]].sum())
        assert not np.any(got) or self.memory.free_pages(nid) >= reserve
        assert np.array_equal(self.memory.folios.nid[some], np.where(got, nid, NONE))

    @rule(data=st.data(), source=NODES, nid=NODES, folios=st.sampled_from([1, 512]))
    def move(self, data: st.DataObject, source: int, nid: int, folios: int) -> None:
        arrays = self.memory.folios
        if source == nid:
            return
        some = self.chosen(data, (arrays.nid == source) & (arrays.pages == folios))
        got = self.memory.move(some, nid)
        size = int(arrays.pages[some[got]].sum())
        self.free[source] += size
        self.free[nid] -= size
        assert not np.any(got) or self.memory.free_pages(nid) >= MIN
        if not np.all(got):  # order 0 always finds a frame; 2 MiB needs one in one piece
            assert folios > 1 or self.memory.free_pages(nid) - 1 < MIN
        assert np.array_equal(arrays.nid[some], np.where(got, nid, source))

    @invariant()
    def holds(self) -> None:
        check_memory(self.memory)
        assert [self.memory.free_pages(nid) for nid in range(3)] == self.free
        self.facts()

    def facts(self) -> None:
        """Facts stand at the frames that a folio has now, whatever was there before."""
        arrays, mem_map = self.memory.folios, self.memory.mem_map
        for folio in (0, 1, 2, 450, 899, 900, 903):
            pfn, pages = int(arrays.pfn[folio]), int(arrays.pages[folio])
            if pfn == NONE:
                continue
            found = mem_map.known(np.array([pfn], np.uint64))
            assert found.memcg[0] == arrays.memcg[folio]
            assert int(found.flags[0]) & ~COMPOUND == arrays.flags[folio]
            assert bool(found.flags[0] & COMPOUND) == (pages > 1)


Moves.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestMoves = Moves.TestCase


@pytest.fixture
def small() -> SimulatedMemory:
    """Four single folios and a large one on node 1."""
    memory = memory_of(4096, 4096)
    memory.add_folios(4, 1, 7, np.array([0, OFF_LRU, UNMOVABLE, 0], np.uint8))
    memory.add_folios(1, 512, 9, plain(1))
    assert memory.allocate(np.arange(5), 1, 0).all()
    return memory


def known(memory: SimulatedMemory, pfn: int) -> Known:
    return memory.mem_map.known(np.array([pfn], np.uint64))


def test_frames_that_a_folio_left_are_unreferenced(small: SimulatedMemory) -> None:
    for folio, pages in ((0, 1), (4, 512)):
        old = int(small.folios.pfn[folio])
        assert small.move(folios(folio), 0).all()
        for pfn in (old, old + pages - 1):
            assert known(small, pfn).flags[0] == UNREFERENCED


def test_frames_that_came_back_last_are_used_first(small: SimulatedMemory) -> None:
    first, second = small.folios.pfn[:2].copy()
    small.move(folios(0), 0)
    small.move(folios(1), 0)
    small.add_folios(3, 1, 0, plain(3))
    small.allocate(folios(5, 6, 7), 1, 0)
    assert small.folios.pfn[5:7].tolist() == [second, first]
    assert small.folios.pfn[7] not in (first, second)


def test_a_block_that_came_back_is_used_before_a_new_one(small: SimulatedMemory) -> None:
    block = int(small.folios.pfn[4])
    small.move(folios(4), 0)
    small.add_folios(1, 512, 0, plain(1))
    small.allocate(folios(5), 1, 0)
    assert small.folios.pfn[5] == block


def test_a_split_block_holds_single_folios_without_a_trace_of_the_large_one(
    small: SimulatedMemory,
) -> None:
    block = int(small.folios.pfn[4])
    small.move(folios(4), 0)
    small.add_folios(600, 1, 3, plain(600))
    small.allocate(np.arange(5, 605), 1, 0)
    inside = np.flatnonzero((small.folios.pfn >= block) & (small.folios.pfn < block + 512))
    assert len(inside) > 50
    for folio in inside.tolist():
        pfn = int(small.folios.pfn[folio])
        assert small.mem_map.folio_pfn(pfn) == pfn
        assert known(small, pfn).flags[0] == 0


def test_a_large_folio_moves_as_one_and_its_facts_with_it(small: SimulatedMemory) -> None:
    assert small.move(folios(4), 0).all()
    pfn = int(small.folios.pfn[4])
    assert pfn % 512 == 0
    assert small.free_pages(0) == 4096 - 512
    assert known(small, pfn).memcg[0] == 9
    assert small.mem_map.folio_pfn(pfn + 511) == pfn


def test_a_full_target_refuses_and_the_folio_stays_whole(small: SimulatedMemory) -> None:
    small.add_folios(4096 - MIN - 3, 1, 0, plain(4096 - MIN - 3))
    small.allocate(np.arange(5, len(small.folios.pfn)), 0, 0)
    before = small.folios.pfn.copy()
    assert not small.move(folios(4), 0).any()
    assert np.array_equal(small.folios.pfn, before)
    moved = small.move(folios(0, 1, 2, 3), 0)  # three frames are left above the min mark
    assert moved.tolist() == [True, True, True, False]
    assert small.free_pages(0) == MIN
    check_memory(small)


def test_moves_are_told_once_with_where_they_came_from(small: SimulatedMemory) -> None:
    told = []
    small.tell(lambda some, before, nid: told.append((some.tolist(), before.tolist(), nid)))
    small.move(folios(0), 0)
    with small.gathering():
        small.move(folios(1), 0)
        small.move(folios(2), 0)
        assert len(told) == 1
    assert told == [([0], [1], 0), ([1, 2], [1, 1], 0)]


def test_there_is_room_for_what_leaves_free_pages_over_the_high_mark(
    small: SimulatedMemory,
) -> None:
    assert small.headroom(0) == 4096 - MARKS.high - 1
    assert not small.short
    small.add_folios(4096 - MARKS.high - 100, 1, 0, plain(4096 - MARKS.high - 100))
    small.allocate(np.arange(5, len(small.folios.pfn)), 0, 0)
    assert small.headroom(0) == 99
    assert small.short == {0}  # a folio of 512 pages may not find room
