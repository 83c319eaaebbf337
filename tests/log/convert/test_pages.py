from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.log.convert import pages as page_table
from pghot.log.convert.pages import PageTable
from pghot.log.convert.placement import two_tier

KEYS = st.lists(
    st.tuples(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 3), st.integers(0, 2**64 - 1)),
    max_size=200,
)


def numbers(table, keys):
    pids = np.array([pid for pid, _vaddr in keys], dtype=np.int32)
    return table.place(pids, np.array([vaddr for _pid, vaddr in keys], dtype=np.uint64)).tolist()


@settings(deadline=None)
@given(KEYS, st.integers(0, 200))
def test_pages_are_numbered_by_first_touch(keys, cut):
    known = {}
    expected = [
        known.setdefault((-1 if vaddr >> 63 else pid, vaddr >> 12), len(known))
        for pid, vaddr in keys
    ]
    table = PageTable()
    assert numbers(table, keys[:cut]) + numbers(table, keys[cut:]) == expected
    assert table.count == len(known)


def test_two_processes_have_pages_of_their_own():
    assert numbers(PageTable(), [(1, 0x1000), (2, 0x1000), (1, 0x1FFF)]) == [0, 1, 0]


def test_the_kernels_half_is_common_to_all_processes():
    assert numbers(PageTable(), [(1, 0xFFFF_8880_0000_0000), (2, 0xFFFF_8880_0000_0FFF)]) == [0, 0]


def test_the_table_grows_with_the_pages_and_not_with_the_rows():
    table = PageTable()
    many = np.arange(300_000, dtype=np.uint64) << np.uint64(12)
    again = np.tile(many[:100], 1000)
    assert table.place(None, many).tolist() == list(range(300_000))
    slots = len(table._numbers)
    assert table.place(None, again).tolist() == list(range(100)) * 1000
    assert table.place(None, many).tolist() == list(range(300_000))
    assert (len(table._numbers), table.count) == (slots, 300_000)
    assert slots <= 4 * (300_000 + page_table._STRETCH)


@pytest.mark.parametrize(("pages", "sections"), [(1, 1), (32768, 1), (32769, 2), (100_000, 4)])
def test_the_nodes_of_a_made_up_machine_are_whole_sections(pages, sections):
    fast, slow = two_tier(pages, 5, full=False).nodes
    assert (fast.start_pfn, fast.pages, fast.free_pages) == (0, sections * 32768, fast.pages)
    assert (slow.start_pfn, slow.pages, slow.free_pages) == (fast.end_pfn, 32768, 0)
    assert (fast.toptier, slow.toptier, fast.cpus, slow.cpus) == (True, False, (0,), ())
    assert two_tier(pages, 5, full=True).nodes[0].free_pages == 0
