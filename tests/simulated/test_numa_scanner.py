"""NUMA balancing's scanner: when it steps, and what a step marks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.simulated.numa.scan_period import (
    FaultCounts,
    PeriodLimits,
    ScanTunables,
    adapt,
    period_limits,
)
from pghot.simulated.numa.scanner import NumaScanner
from tests.simulated.plain_scanner import PlainScan

TOP = np.array([True, False])
GIB = 1 << 18
MB = 256


class Process:
    """A process whose pages are all slow, scanned at its pace."""

    def __init__(self, regions, *, tunables=None, **options):
        self.scanner = NumaScanner(tunables or ScanTunables(), **options)
        for region in regions:
            self.scanner.add_region(*region)
        folios = max(first + count for first, count, _order in regions)
        self.nid = np.ones(folios, np.int16)
        self.marked = np.zeros(folios, np.bool_)
        self.now = 0.0

    def step(self, now=None):
        """Do the next step, all time being CPU time."""
        self.now = self.scanner.due_ms(self.now, self.now) if now is None else now
        step = self.scanner.step(self.now, self.now, self.nid, self.marked, TOP)
        self.marked[step.folios] = True
        return step


def test_a_step_marks_the_next_256_mib():
    process = Process([(0, GIB, 0)])
    for number in range(4):
        step = process.step()
        assert step.folios.tolist() == list(range(number * 256 * MB, (number + 1) * 256 * MB))
        assert step.pte_updates == step.looked_at == 256 * MB
        assert step.passes == 0


def test_folios_on_a_top_tier_node_or_marked_already_or_absent_are_left_alone():
    process = Process([(0, 8, 0)])
    process.nid[:] = [0, 1, 1, -1, 1, 0, 1, 1]
    process.marked[[2, 7]] = True
    step = process.step()
    assert step.folios.tolist() == [1, 4, 6]
    assert step.pte_updates == 3


def test_a_folio_of_2_mib_counts_512_updates():
    process = Process([(0, 4, 9)], tunables=ScanTunables(scan_size_mb=4))
    step = process.step()
    assert step.folios.tolist() == [0, 1]
    assert step.pte_updates == 1024


def test_a_range_with_anything_to_mark_takes_its_whole_length_off_the_budget():
    process = Process([(0, GIB, 0)])
    process.nid[1:] = 0
    step = process.step()
    assert step.folios.tolist() == [0]
    assert step.looked_at == 256 * MB


def test_where_there_is_nothing_to_mark_a_step_looks_at_eight_times_its_size():
    process = Process([(0, 4 * GIB, 0)])
    process.nid[:] = 0
    assert process.step().looked_at == 8 * 256 * MB
    assert process.step().looked_at == 8 * 256 * MB
    assert process.scanner.sequence == 0
    assert process.step().passes == 1


def test_a_step_that_comes_to_the_end_raises_the_sequence_and_goes_no_further():
    process = Process([(0, 300 * MB, 0)])
    assert [process.step().pte_updates for _ in range(2)] == [256 * MB, 44 * MB]
    assert process.scanner.sequence == 1
    process.marked[:] = False
    assert process.step().folios[0] == 0


def test_a_pass_that_ends_with_the_budget_rises_in_the_step_after():
    process = Process([(0, 512 * MB, 0)])
    passes = []
    for _number in range(4):
        passes.append(process.step().passes)
        process.marked[:] = False
    assert passes == [0, 0, 1, 0]


def test_a_region_mapped_after_the_first_pass_is_left_out_for_the_scan_delay():
    process = Process([(0, MB, 0)])
    process.step()
    process.nid, process.marked = np.ones(2 * MB, np.int16), np.zeros(2 * MB, np.bool_)
    process.scanner.add_region(MB, MB, 0)
    met = process.now + 1000
    assert process.step(met).folios.tolist() == list(range(MB))
    assert process.step(met + 999).folios.tolist() == []
    assert process.step(met + 1000).folios.tolist() == list(range(MB, 2 * MB))


def times(scanner, count, pace=1.0):
    nid, marked = np.ones(1 << 16, np.int16), np.zeros(1 << 16, np.bool_)
    now, found = 0.0, []
    while len(found) < count:
        now = scanner.due_ms(now, now * pace, pace)
        step = scanner.step(now, now * pace, nid, marked, TOP)
        if step.looked_at:
            found.append(now)
    return found


def small(**options):
    scanner = NumaScanner(ScanTunables(scan_size_mb=8, **options.pop("tunables", {})), **options)
    scanner.add_region(0, 1 << 16, 0)
    return scanner


def test_worker_threads_scan_each_second_from_a_second_and_two_ticks():
    assert times(small(threads=64), 4) == [1003, 2003, 3003, 4003]


def test_a_lone_worker_thread_gives_others_two_ticks():
    assert times(small(threads=1), 3) == [1003, 2005, 3007]


def test_the_first_thread_of_a_process_goes_over_to_the_shortest_period():
    limits = period_limits(ScanTunables(scan_size_mb=8), 1 << 16)
    assert limits.least == 31
    found = times(small(threads=1, cloned=False), 3)
    assert found[0] == pytest.approx(2001, abs=31)
    assert np.diff(found).tolist() == [33, 33]


def test_a_period_is_of_cpu_time_and_of_time():
    assert times(small(threads=64), 3, pace=0.5) == [2005, 4005, 6005]
    scanner = small(threads=64)
    assert scanner.due_ms(0.0, 0.0, 0.0) == float("inf")
    assert scanner.due_ms(0.0, 5000.0) == 1000


def test_steps_are_on_ticks():
    assert times(small(threads=64, hz=250), 3) == [1012, 2012, 3012]


def test_a_lone_thread_runs_32_times_as_long_as_a_step_took_before_its_next():
    scanner = small(threads=1)
    before = scanner.due_ms(0.0, 0.0)
    scanner.spent(10.0)
    assert scanner.due_ms(0.0, 0.0) == before + 320


def test_the_published_process_is_passed_over_in_32_s_by_workers_and_3_s_by_one_thread():
    assert period_limits(ScanTunables(), 8 * GIB) == PeriodLimits(100, 1875)
    for options, seconds in (({"threads": 64}, 32), ({"threads": 1, "cloned": False}, 3.2)):
        process = Process([(0, 8 * GIB, 0)], **options)
        while not process.marked[0]:
            process.step()
        start = process.now
        while not process.marked[-1]:
            process.step()
        assert process.now - start == pytest.approx(seconds * 1000 * 31 / 32, rel=0.02)


@pytest.mark.parametrize(
    ("rss", "least", "most"),
    [
        (0, 1000, 60_000),
        (1, 1000, 60_000),
        (256 * MB + 1, 500, 30_000),
        (480 * 256 * MB, 100, 125),
    ],
)
def test_limits_shrink_with_the_steps_of_a_pass_down_to_2560_mib_a_second(rss, least, most):
    assert period_limits(ScanTunables(), rss) == PeriodLimits(least, most)


def test_a_large_step_has_a_floor_of_a_second():
    assert period_limits(ScanTunables(scan_size_mb=4096), 64 * GIB).least == 1000


def test_a_scaled_machine_has_the_periods_of_the_whole():
    whole = period_limits(ScanTunables(), 8 * GIB)
    assert period_limits(ScanTunables(scale=1 / 64), 8 * GIB // 64) == whole
    assert ScanTunables(scale=1 / 64).scan_pages == 4 * MB


LIMITS = PeriodLimits(100, 1875)


@pytest.mark.parametrize(
    ("faults", "period"),
    [
        (FaultCounts(), 1875),
        (FaultCounts(remote=10, private=10), 1875),
        (FaultCounts(local=10, private=10, failed=1), 1875),
        (FaultCounts(local=7, remote=3, private=7, shared=3), 1100),
        (FaultCounts(local=10, private=10), 1300),
        (FaultCounts(local=10, shared=10), 1300),
        (FaultCounts(local=2, remote=8, private=5, shared=5), 800),
        (FaultCounts(remote=10, shared=10), 300),
    ],
)
def test_the_period_after_a_pass_follows_its_faults(faults, period):
    assert adapt(1000, LIMITS, faults) == period


def test_the_period_stays_within_its_limits():
    assert adapt(100, LIMITS, FaultCounts(remote=10, shared=10)) == 100
    assert adapt(1800, LIMITS, FaultCounts(local=10, private=10)) == 1875


def test_a_failed_migration_is_not_forgotten():
    faults = FaultCounts(local=10, private=10, failed=1)
    adapt(1000, LIMITS, faults)
    assert (faults.local, faults.failed, faults.private) == (10, 1, 0)
    faults.local, faults.private = 20, 10
    assert adapt(500, LIMITS, faults) == 1000


def test_the_first_counted_fault_after_a_pass_adapts_the_period_by_those_before():
    process = Process([(0, 256 * MB, 0)], threads=8)
    scanner = process.scanner
    process.step()
    scanner.count_faults(process.now, remote_private=100)
    assert scanner.period_ms == 1000
    process.marked[:] = False
    process.step()
    assert scanner.sequence == 1
    assert scanner.period_ms == 1000
    scanner.count_faults(process.now + 5, remote_private=1)
    assert scanner.period_ms == 2000
    assert scanner.next_scan_ms == process.now + 5 + 2000


def test_without_counted_faults_as_with_pghot_the_period_stays():
    process = Process([(0, 256 * MB, 0)], threads=8)
    for _number in range(5):
        process.step()
        process.scanner.count_faults(process.now)
        process.marked[:] = False
    assert process.scanner.period_ms == 1000
    assert process.scanner.sequence >= 3


def test_settings_read_as_floats_are_whole_numbers():
    assert ScanTunables(scan_delay_ms=1000.0, scan_size_mb=256.0) == ScanTunables()
    assert isinstance(ScanTunables(scan_delay_ms=1000.0).scan_delay_ms, int)


def test_settings_that_the_scanner_cannot_have_are_refused():
    for value in (0, 0.5, float("nan"), 1 << 32):
        with pytest.raises(InputError, match="scan_size_mb of the scanner must be a whole number"):
            ScanTunables(scan_size_mb=value)
    with pytest.raises(InputError, match="scale must be above 0 and at most 1, not 2"):
        ScanTunables(scale=2)


@given(
    st.lists(
        st.tuples(st.integers(1, 3000), st.sampled_from([0, 0, 3, 9])), min_size=1, max_size=4
    ),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_steps_are_those_of_a_walk_page_by_page(shapes, scan_mb, seed, slow):
    rng = np.random.default_rng(seed)
    regions, first = [], 0
    for count, order in shapes:
        folios = max(1, count >> order)
        regions.append((first, folios, order))
        first += folios
    scanner = NumaScanner(ScanTunables(scan_size_mb=scan_mb))
    for region in regions:
        scanner.add_region(*region)
    nid = np.where(rng.random(first) < slow, 1, rng.integers(-1, 1, first)).astype(np.int16)
    marked = rng.random(first) < 0.3
    plain = PlainScan(regions, scan_mb * 256)
    for number in range(8):
        step = scanner.step(10_000.0 * (number + 1), 0.0, nid, marked, TOP)
        found, updates, looked_at = plain.step(nid, marked, TOP)
        assert step.folios.tolist() == found
        assert (step.pte_updates, step.looked_at) == (updates, looked_at)
        assert scanner.sequence == plain.sequence
        marked[step.folios] = True
        marked[rng.random(first) < 0.5] = False
