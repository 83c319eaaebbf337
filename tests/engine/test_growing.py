"""A machine whose memory grows: what is known of pages stays, and is not copied for nothing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.growing import HUGE, thicken, zeros
from pghot.engine.hotmap import HotMap
from pghot.engine.layout import DEFAULT
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import Node
from pghot.engine.units import PAGES_PER_SECTION as SECTION

needs_huge_pages = pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="the kernel has no huge pages"
)
MOST = 12
PAGE = st.tuples(st.integers(0, MOST - 1), st.sampled_from([0, 1, 512, 1024, SECTION - 512]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(1, 4)),
        st.tuples(st.just("learn"), PAGE, st.sampled_from([1, 4, 512]), st.integers(0, 9)),
        st.tuples(st.just("move"), PAGE, st.integers(0, 3)),
    ),
    max_size=12,
)


def do(mem_map: MemMap, sections: int, step: tuple) -> None:
    kind, (section, offset), *more = step
    pfn = section % sections * SECTION + offset
    if kind == "move":
        mem_map.move_folio(mem_map.folio_pfn(pfn), more[0])
        return
    pages, memcg = more
    pfn -= pfn % pages
    one = np.array([pfn], np.uint64)
    mem_map.learn(one, np.array([pages]), np.array([memcg], np.uint32))


def known(mem_map: MemMap, end: int) -> tuple[np.ndarray, ...]:
    return mem_map.known(np.arange(end, dtype=np.uint64))


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_machine_that_grew_step_by_step_knows_what_one_that_was_whole_knows(steps) -> None:
    grew, whole = MemMap(), MemMap()
    whole.add_sections(0, MOST * SECTION, 1)
    sections = 1
    grew.add_sections(0, SECTION, 1)
    for step in steps:
        if step[0] == "grow":
            more = min(step[1], MOST - sections)
            grew.add_sections(sections * SECTION, more * SECTION, 1)
            sections += more
        else:
            do(grew, sections, step)
            do(whole, sections, step)
    end = sections * SECTION
    for mine, theirs in zip(*(known(each, end) for each in (grew, whole)), strict=True):
        assert np.array_equal(mine, theirs)


def test_records_stay_and_new_sections_have_none() -> None:
    mem_map = MemMap()
    hot_map = HotMap(mem_map, DEFAULT)
    for sections in range(1, 6):
        mem_map.add_sections((sections - 1) * SECTION, SECTION, 1)
        hot_map.follow()
        assert (
            np.flatnonzero(hot_map.records).tolist() == [n * SECTION for n in range(sections)][:-1]
        )
        hot_map.records[(sections - 1) * SECTION] = 5
        hot_map.touched[sections - 1] = 1


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_large_machine_that_grows_takes_no_memory_for_pages_that_nobody_touched() -> None:
    sections = (256 << 30) // (128 << 20)
    mem_map = MemMap()
    mem_map.add_sections(0, sections * SECTION, 1)
    mem_map.learn(np.array([5], np.uint64), np.array([1]), np.array([7], np.uint32))
    hot_map = HotMap(mem_map, DEFAULT)
    hot_map.follow()
    before = resident()
    mem_map.add_sections(sections * SECTION, SECTION, 2)
    hot_map.follow()
    assert resident() - before < 64 << 20  # of 1.5 GiB of arrays
    assert known(mem_map, 8)[4].tolist() == [0, 0, 0, 0, 0, 7, 0, 0]


GIB = (1 << 30) >> 12


def test_512_accesses_to_ranges_of_half_a_tebibyte_take_less_than_100_mb() -> None:
    """One a GiB; between two GiB lies one of a faster node, and in the middle 8 TiB of hole."""
    starts = [2 * at * GIB + (8192 * GIB if at >= 256 else 0) for at in range(512)]
    slow = Node.of_ranges(1, [(pfn, pfn + GIB) for pfn in starts], toptier=False)
    fast = Node.of_ranges(0, [(pfn + GIB, pfn + 2 * GIB) for pfn in starts], toptier=True)
    before = resident()
    engine = Engine(ArrayMemory([fast, slow]))
    engine.write("enabled_sources", "3")
    engine.start()
    engine.record_many(np.array(starts, np.uint64), 0, 1, 100)
    assert engine.vmstat["pghot_recorded_accesses"] == 512
    assert resident() - before < 100_000_000


def test_a_hole_of_terabytes_takes_no_section() -> None:
    far = 1 << 34  # 64 TiB
    ranges = [(0, 0xA0), (0x100, SECTION), (far, far + SECTION)]
    memory = ArrayMemory([Node.of_ranges(1, ranges, toptier=False)])
    assert memory.mem_map.slots == 2
    assert memory.present_pages(1) == 2 * SECTION - 0x60
    assert len(memory.mem_map.slot_of) == far // SECTION + 1  # 4 bytes for each 128 MiB


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_tail_pages_are_those_that_are_not_the_first_of_their_folio(steps) -> None:
    mem_map = MemMap()
    mem_map.add_sections(0, MOST * SECTION, 1)
    for step in steps:
        if step[0] != "grow":
            do(mem_map, MOST, step)
    mem_map.set_folio(5 * SECTION + 2049, 7)  # odd: neither aligned nor a power of two
    for section in (0, 5, MOST - 1):
        pfns = np.arange(section * SECTION, (section + 1) * SECTION, dtype=np.uint64)
        tails = np.count_nonzero(mem_map.known(pfns).head != pfns)
        assert mem_map.tail_pages(mem_map.index(section * SECTION) // SECTION) == tails


def advised(address: int) -> set[str]:
    """What the kernel says of the mapping that has an address (VmFlags, proc(5))."""
    within = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if first == "VmFlags:" and within:
            return set(rest)
        if not first.endswith(":"):
            start, end = (int(part, 16) for part in first.split("-"))
            within = start <= address < end
    raise AssertionError(f"nothing is mapped at {address:#x}")


@needs_huge_pages
def test_huge_pages_are_asked_for_where_accesses_lie_thick_and_nowhere_else() -> None:
    array = zeros(4 * HUGE, np.uint8)
    at = array.ctypes.data
    thicken(array, HUGE, 2 * HUGE + 1)
    assert ["hg" in advised(at + part * HUGE) for part in range(4)] == [False, True, False, False]


@needs_huge_pages
def test_records_that_are_touched_throughout_have_huge_pages() -> None:
    pages = 2 * HUGE
    nodes = (Node(0, 0, SECTION, toptier=True), Node(1, SECTION, pages, toptier=False))
    engine = Engine(ArrayMemory(nodes), DEFAULT)
    engine.write("enabled_sources", "3")
    engine.start()
    pfns = np.arange(SECTION, SECTION + pages, 64, np.uint64)
    for first in range(0, len(pfns), 4096):
        some = pfns[first : first + 4096]
        count = len(some)
        engine.record_many(
            some, np.zeros(count, np.int16), np.ones(count, np.int8), np.zeros(count, np.uint64)
        )
    assert "hg" in advised(engine.hot_map.records.ctypes.data + HUGE)
