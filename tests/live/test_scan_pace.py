"""The scan for hint faults is as fast as its cost, in counts times prices, may be."""

from __future__ import annotations

import pytest

from pghot.live.cost_budget import CostBudget
from pghot.live.scan_pace import (
    FAULT_NS,
    OWING,
    RESTING,
    SAMPLE_NS,
    SAVED,
    SIZE,
    SIZES,
    STALE_US,
    ScanPace,
    ScanPacer,
)

SECOND_NS = 1_000_000_000


@pytest.fixture
def pace() -> ScanPace:
    """A pace that has nothing saved up."""
    return ScanPace(CostBudget(faults=0.01, samples=1.0), saved=0)


def faults_for(share: float) -> int:
    """As many as cost such a share of a CPU second."""
    return int(share * SECOND_NS / FAULT_NS)


def test_what_costs_ten_times_what_it_may_becomes_ten_times_slower_at_once_and_pays_back(
    pace,
) -> None:
    assert pace.spend(faults_for(0.1), SECOND_NS, SECOND_NS)
    assert pace.size_mb == pytest.approx(SIZES[-1] / 10 * OWING)
    assert pace.spent == pytest.approx(10)


def test_what_costs_less_becomes_twice_as_fast_at_the_most(pace) -> None:
    pace.size_mb = 16
    assert pace.spend(0, SECOND_NS, SECOND_NS)
    assert pace.size_mb == 32


def test_small_differences_change_nothing(pace) -> None:
    pace.size_mb = 100
    assert not pace.spend(faults_for(0.009), SECOND_NS, SECOND_NS)
    assert pace.size_mb == 100


def test_steps_stay_within_what_the_kernel_takes(pace) -> None:
    for _ in range(20):
        pace.spend(faults_for(1), SECOND_NS, SECOND_NS)
    assert pace.size_mb == SIZES[0]
    for _ in range(20):
        pace.spend(0, SECOND_NS, SECOND_NS)
    assert pace.size_mb == SIZES[-1]


def test_targets_that_use_no_cpu_leave_nothing_to_spend(pace) -> None:
    pace.spend(10, 0, SECOND_NS)
    assert pace.size_mb == SIZES[0]


def test_our_own_cost_has_a_budget_too() -> None:
    pace = ScanPace(CostBudget(faults=1.0, samples=0.03), saved=0)
    pace.spend(int(0.06 * SECOND_NS / SAMPLE_NS), 100 * SECOND_NS, SECOND_NS)
    assert pace.spent == pytest.approx(2)


def test_a_run_begins_as_fast_as_it_may_and_no_faster_once_what_was_saved_is_spent() -> None:
    pace = ScanPace(CostBudget(faults=0.01, samples=1.0))
    spent = 0.0
    for _ in range(60):
        pace.spend(faults_for(0.1 * pace.size_mb / SIZES[-1]), SECOND_NS, SECOND_NS)
        spent += pace.spent
    assert spent == pytest.approx(60 + SAVED, rel=0.05)
    assert pace.size_mb == pytest.approx(SIZES[-1] / 10, rel=0.3)


def test_what_was_not_spent_goes_with_the_next_intervals(pace) -> None:
    pace.size_mb = 16
    for _ in range(8):
        pace.spend(0, SECOND_NS, SECOND_NS)
    pace.size_mb = 16
    pace.spend(faults_for(0.01), SECOND_NS, SECOND_NS)
    assert pace.size_mb == 32


def test_what_was_spent_too_much_is_paid_back(pace) -> None:
    spent = 0.0
    for _ in range(100):
        pace.spend(faults_for(0.1 * pace.size_mb / SIZES[-1]), SECOND_NS, SECOND_NS)
        spent += pace.spent
    assert spent <= 101


def test_while_nothing_can_be_won_a_quarter_of_the_budget_is_spent(pace) -> None:
    pace.size_mb, pace.resting = 16, True
    pace.spend(faults_for(0.01), SECOND_NS, SECOND_NS)
    assert pace.size_mb == 16 * RESTING


def test_where_faults_are_lost_the_scan_is_as_much_slower(pace) -> None:
    pace.size_mb = 64
    faults = faults_for(0.01)
    pace.spend(faults, SECOND_NS, SECOND_NS, lost=faults // 2)
    assert pace.size_mb == 32


class Clock:
    us = 0

    def now_us(self) -> int:
        return self.us


class Targets:
    ns = 0

    def cpu_ns(self) -> int:
        return self.ns


def test_a_pacer_looks_once_a_second_and_sets_the_size_of_a_step(pace) -> None:
    clock, targets, told, counted = Clock(), Targets(), [], [0]
    pacer = ScanPacer(
        pace, targets, lambda: counted[0], lambda *setting: told.append(setting) or True
    )
    pacer.attend(clock)
    assert told == [(SIZE, str(SIZES[-1]))]
    for second in range(1, 4):
        clock.us = second * 1_000_000
        targets.ns += SECOND_NS
        counted[0] += faults_for(0.02)
        for _ in range(3):
            pacer.attend(clock)
    sizes = [SIZES[-1] * (OWING / 2) ** n for n in (1, 2, 3)]
    assert told[1:] == [(SIZE, str(int(size))) for size in sizes]
    assert pacer.targets_share == pytest.approx(0.02)


def test_faults_are_judged_once_the_cpu_time_they_were_taken_in_is_known(pace) -> None:
    clock, targets, told, counted = Clock(), Targets(), [], [0]
    pacer = ScanPacer(
        pace, targets, lambda: counted[0], lambda *setting: told.append(setting) or True
    )
    pacer.attend(clock)
    for second in range(1, 5):
        clock.us = second * 1_000_000
        counted[0] += faults_for(0.01)
        targets.ns = second // 4 * 4 * SECOND_NS  # looked at every four seconds
        pacer.attend(clock)
    assert told == [(SIZE, str(SIZES[-1]))]
    assert pacer.pace.spent == pytest.approx(1)


def test_where_no_cpu_time_comes_they_cost_too_much(pace) -> None:
    clock, told, counted = Clock(), [], [0]
    pacer = ScanPacer(
        pace, Targets(), lambda: counted[0], lambda *setting: told.append(setting) or True
    )
    for second in range(STALE_US // 1_000_000 + 1):
        clock.us = second * 1_000_000
        counted[0] += 1
        pacer.attend(clock)
    assert told[-1] == (SIZE, str(SIZES[0]))


def test_once_a_size_could_not_be_set_the_pace_stays(pace) -> None:
    clock, told = Clock(), []
    pacer = ScanPacer(pace, Targets(), lambda: 10**6, lambda *setting: bool(told.append(setting)))
    for second in range(4):
        clock.us = second * 1_000_000
        pacer.attend(clock)
    assert len(told) == 1


def test_what_comes_while_no_scan_is_ours_costs_nothing(pace) -> None:
    clock, targets, told, counted = Clock(), Targets(), [], [0]
    pacer = ScanPacer(
        pace, targets, lambda: counted[0], lambda *setting: told.append(setting) or True
    )
    pacer.attend(clock)
    clock.us, targets.ns, counted[0] = 1_000_000, SECOND_NS, faults_for(0.01)
    pacer.attend(clock)
    clock.us, targets.ns, counted[0] = 60_000_000, 60 * SECOND_NS, 10**9
    pacer.start_again()
    pacer.attend(clock)
    assert told[-1] == (SIZE, str(SIZES[-1]))
    clock.us, targets.ns = 61_000_000, 61 * SECOND_NS
    counted[0] += faults_for(0.01)
    pacer.attend(clock)
    assert pacer.faults == 2 * faults_for(0.01)
    assert pacer.targets_share == pytest.approx(0.01)
