"""Who is hot: the same as a plain count of the last ten seconds."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pghot.live import hot_processes as tallies
from pghot.live.hot_processes import REGION_SHIFT, WINDOW_S, HotProcesses

PIDS = st.sampled_from([1, 7, 4_194_303])
ADDRESSES = st.sampled_from([0, 5 << 12, 1 << 21, (1 << 47) - 1, (1 << 57) - 1])


def rows(accesses):
    pid, vaddr = zip(*accesses, strict=True) if accesses else ((), ())
    return {"pid": np.array(pid, np.int32), "vaddr": np.array(vaddr, np.uint64)}


@given(seconds=st.lists(st.lists(st.tuples(PIDS, ADDRESSES), max_size=6), max_size=25))
def test_accesses_count_for_ten_seconds(seconds):
    tally = HotProcesses()
    for n, accesses in enumerate(seconds):
        tally.see(rows(accesses))
        last = [a for second in seconds[max(n + 1 - WINDOW_S, 0) : n + 1] for a in second]
        regions = Counter((pid, vaddr >> REGION_SHIFT << REGION_SHIFT) for pid, vaddr in last)
        assert {(p, s): count for p, s, count in tally.regions(99)} == regions
        assert {p: count for p, count, _ in tally.processes(99)} == Counter(p for p, _ in last)
        tally.second()


def test_the_busiest_come_first():
    tally = HotProcesses()
    tally.see(rows([(1, 0), (7, 0), (7, 0), (7, 1 << 21)]))
    assert [pid for pid, _, _ in tally.processes(2)] == [7, 1]
    assert tally.regions(1) == [(7, 0, 2)]


def test_folios_asked_for_and_moved_are_of_their_process_and_of_nobody_where_it_is_not_known():
    tally = HotProcesses()
    tally.asked(np.array([7, 7, 1, 0], np.int32), np.array([True, False, True, False]))
    assert {pid: asked for pid, _, asked in tally.processes(9)} == {7: (2, 1), 1: (1, 1)}


def test_of_very_many_processes_those_with_most_folios_are_kept(monkeypatch):
    monkeypatch.setattr(tallies, "_KEPT", 2)
    tally = HotProcesses()
    pids = np.array([1, 2, 2, 3, 3, 3, 4, 5], np.int32)
    tally.asked(pids, np.ones(len(pids), bool))
    assert {pid for pid, _, _ in tally.processes(9)} == {2, 3}


def test_of_many_regions_the_most_accessed_are_kept_and_every_process(monkeypatch) -> None:
    monkeypatch.setattr(tallies, "_REGIONS", 4)
    tally = HotProcesses()
    for second in range(WINDOW_S + 2):
        hot = [(1, region << REGION_SHIFT) for region in range(4)]
        tally.see(rows(3 * hot + [(2 + n, n << REGION_SHIFT) for n in range(20)]))
        assert {(pid, count) for pid, _, count in tally.regions(99)} == {
            (1, 3 * min(second + 1, WINDOW_S))
        }
        assert len(tally.processes(99)) == 21
        assert len(tally._regions) <= 2 * 4 * WINDOW_S
        tally.second()


def test_rows_do_not_wait_without_end(monkeypatch) -> None:
    monkeypatch.setattr(tallies, "_ROWS", 10)
    tally = HotProcesses()
    for _ in range(9):
        tally.see(rows([(1, 0)] * 4))
        assert sum(map(len, tally._fresh)) <= 10
    assert tally.regions(9) == [(1, 0, 36)]
