"""The latency of a fault: from the first scan since the page's last fault (fair.c)."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.engine.fault_latency import UNKNOWN
from pghot.live.scan_times import FORGET_NS, KEPT, ScannedFaults, ScanTimes
from pghot.sources.prot_none import Ends, Ranges

MS = 1_000_000
CHUNK = 2 << 20
BASE = 0x7F00_0000_0000
PID = 4711


def scan(times: ScanTimes, at_ms: int, start: int = BASE, size: int = CHUNK, *, pid=PID, ends=()):
    """A step of the scan at `at_ms`; `ends` are when the task came to its end, in ms."""
    times.scanned(
        Ranges(
            np.array([at_ms * MS], np.uint64),
            np.array([pid], np.int32),
            np.array([pid], np.int32),
            np.array([start], np.uint64),
            np.array([start + size], np.uint64),
        ),
        Ends(
            np.array(ends, np.uint64) * np.uint64(MS),
            np.full(len(ends), pid, np.int32),
            np.full(len(ends), pid, np.int32),
            np.full(len(ends), 512, np.uint64),
        ),
    )


def latency(times: ScanTimes, at_ms: int, vaddr: int = BASE, *, index: int = 9, pid=PID) -> int:
    """The latency of a fault at `at_ms`, in ms."""
    faults = ScannedFaults(
        np.array([pid], np.int32),
        np.array([vaddr], np.uint64),
        np.array([at_ms * MS], np.uint64),
        np.array([index]),
    )
    us = int(times.latency_us(faults)[0])
    return us // 1000 if us >= 0 else us


@pytest.fixture
def times() -> ScanTimes:
    return ScanTimes()


def test_it_is_the_time_since_the_scan_that_caught_the_page(times) -> None:
    scan(times, 100)
    assert latency(times, 130) == 30
    scan(times, 1000)
    assert latency(times, 1005) == 5


def test_scans_that_found_it_caught_already_do_not_count(times) -> None:
    scan(times, 100)
    assert latency(times, 110) == 10
    for at in (1000, 2000, 3000):
        scan(times, at)
    assert latency(times, 3010) == 2010


def test_a_page_that_sleeps_longer_than_the_times_kept_counts_from_the_oldest(times) -> None:
    scan(times, 0)
    latency(times, 1)
    for number in range(1, 3 * KEPT):
        scan(times, 1000 * number)
    assert latency(times, 1000 * (3 * KEPT)) == 1000 * KEPT


def test_a_scan_after_the_fault_is_another_ones(times) -> None:
    scan(times, 100)
    scan(times, 200)
    assert latency(times, 150) == 50
    assert latency(times, 230) == 30


def test_where_no_scan_was_seen_nothing_is_known(times) -> None:
    scan(times, 100)
    assert latency(times, 130, BASE + CHUNK) == UNKNOWN
    assert latency(times, 130, pid=PID + 1) == UNKNOWN
    assert latency(times, 50) == UNKNOWN


def test_a_step_passes_over_its_range_evenly(times) -> None:
    scan(times, 100, size=4 * CHUNK, ends=[140])
    assert [latency(times, 150, BASE + n * CHUNK, index=n) for n in range(4)] == [50, 40, 30, 20]


def test_until_its_end_is_known_all_of_it_counts_from_its_beginning(times) -> None:
    scan(times, 100, size=2 * CHUNK)
    assert latency(times, 150, BASE + CHUNK, index=1) == 50
    scan(times, 1000, BASE + 8 * CHUNK, ends=[140, 1010])
    assert latency(times, 150, BASE + CHUNK, index=2) == 30


def test_an_end_that_was_lost_leaves_its_step_and_the_next_one_is_right(times) -> None:
    scan(times, 100, size=2 * CHUNK)
    scan(times, 1000, size=2 * CHUNK, ends=[1020])
    assert latency(times, 1030, BASE + CHUNK, index=1) == 930
    scan(times, 2000, size=2 * CHUNK, ends=[2020])
    assert latency(times, 2030, BASE + CHUNK, index=1) == 20


def test_where_a_fault_in_between_may_have_been_lost_nothing_is_known(times) -> None:
    scan(times, 100)
    latency(times, 110)
    scan(times, 1000)
    times.lost(1500 * MS)
    scan(times, 2000)
    assert latency(times, 2010) == UNKNOWN
    scan(times, 3000)
    assert latency(times, 3010) == 10


def test_what_is_scanned_no_more_is_forgotten(times) -> None:
    scan(times, 0, size=100 * CHUNK)
    scan(times, 2 * FORGET_NS // MS, BASE + 200 * CHUNK)
    assert latency(times, 2 * FORGET_NS // MS + 1) == UNKNOWN
    assert latency(times, 2 * FORGET_NS // MS + 1, BASE + 200 * CHUNK) == 1
