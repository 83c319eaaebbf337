"""What the latency of a hint fault says of its page (fidelity `improved`)."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from pghot.engine import fault_latency
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.fault_latency import (
    CLEAR,
    FIRST_SHIFT,
    HOT_THRESHOLD_US,
    LEAST_HOTTER,
    LEAST_PAIRS,
    MORE,
    MOST_HOTTER,
    PERIOD_MS,
    STEEP,
    TRIAL_SHIFT,
    FaultLatency,
)
from pghot.engine.fidelity import IMPROVED, V7, Fidelity
from tests.rig import SECTION, node

HZ = 1000
HINTFAULT = 0
USUAL, SHORT, LONG = 400_000, 20_000, 5_000_000
LATER = 14 * PERIOD_MS
OTHERS = np.arange(1000, 3000)
"""Pages that are accessed as is usual."""


def judged(faults: FaultLatency, latencies, *, indices=(0,), now: int = 0) -> list[bool]:
    """Judge faults of pages that all have these latencies, at one instant."""
    index = np.array(indices, np.int64)
    latency = np.broadcast_to(np.asarray(latencies, np.int32), index.shape)
    return faults.judge(index, latency, np.full(len(index), now, np.uint64)).tolist()


@pytest.fixture
def faults() -> FaultLatency:
    return FaultLatency(HZ)


@pytest.fixture
def pressed(faults: FaultLatency) -> FaultLatency:
    """Faults of a target without room, where USUAL is usual."""
    faults.target(1 << 20, 0)
    judged(faults, USUAL, indices=OTHERS)
    judged(faults, USUAL, indices=(999,), now=PERIOD_MS)
    return faults


@pytest.fixture
def known(pressed: FaultLatency) -> FaultLatency:
    """The same where it is known that some pages are hotter than others."""
    random = np.random.default_rng(2)
    hot = np.arange(len(OTHERS)) < 100
    rounds(pressed, lambda: random.exponential(np.where(hot, SHORT / 10, USUAL)))
    assert pressed.excess > STEEP
    return pressed


def test_with_room_one_latency_below_the_kernels_threshold_makes_a_page_ready(faults) -> None:
    assert judged(faults, HOT_THRESHOLD_US // 2) == [True]
    assert judged(faults, 2 * HOT_THRESHOLD_US) == [False]


def test_with_plenty_of_room_any_fault_does(faults) -> None:
    faults.target(1 << 20, 1 << 17)
    assert judged(faults, LONG) == [True]


def test_without_room_the_mean_of_its_latencies_must_be_four_times_shorter_than_usual(
    known,
) -> None:
    latencies = (USUAL // 4, USUAL // 5, SHORT // 10)
    found = [judged(known, us, now=LATER) for us in latencies]
    assert found == [[False], [False], [True]]


def test_a_page_that_was_cold_is_ready_once_several_latencies_in_a_row_were_short(known) -> None:
    latencies = (LONG, *[SHORT] * 10)
    found = [judged(known, us, now=LATER) for us in latencies]
    assert found[:4] == [[False]] * 4
    assert found[-1] == [True]


def test_until_it_is_known_whether_it_does_good_few_are_and_at_8_times(pressed) -> None:
    pages = 1 << 20
    assert judged(pressed, USUAL // 7, now=PERIOD_MS) == [False]
    found = judged(pressed, SHORT, indices=range(pages // 4), now=PERIOD_MS)
    assert sum(found) == pages >> TRIAL_SHIFT


def test_until_then_those_go_up_that_fault_first_of_all_that_were_made_prot_none(faults) -> None:
    faults.target(1 << 20, 0)
    faults.marked(100 << FIRST_SHIFT)
    latencies = np.arange(1, 1001) * 100
    found = judged(faults, latencies, indices=range(1000))
    assert found == [True] * 100 + [False] * 900
    assert faults.threshold_us <= 100 * 100 < 2 * faults.threshold_us


def test_one_that_faults_later_but_after_a_shorter_time_goes_up_as_well(faults) -> None:
    faults.target(1 << 20, 0)
    faults.marked(100 << FIRST_SHIFT)
    judged(faults, LONG, indices=range(1000))
    assert judged(faults, SHORT, indices=range(1000, 1200)) == [True] * 100 + [False] * 100


def test_and_no_more_of_them_than_one_page_for_so_many_of_the_targets(faults) -> None:
    pages = 1 << 10
    faults.target(pages, 0)
    faults.marked(1 << 20)
    assert sum(judged(faults, SHORT, indices=range(1000))) == pages >> TRIAL_SHIFT


def test_a_folio_counts_by_its_pages_among_the_first(faults) -> None:
    faults.target(1 << 20, 0)
    faults.marked(1024 << FIRST_SHIFT)
    huge = np.full(4, 512)
    latency = np.full(4, SHORT, np.int32)
    found = faults.judge(np.arange(4) * 512, latency, np.zeros(4, np.uint64), huge)
    assert found.tolist() == [True, True, False, False]


def test_what_has_not_faulted_yet_counts_for_what_is_usual() -> None:
    usual = []
    for marked in (0, 1900):
        faults = FaultLatency(HZ)
        faults.marked(marked)
        judged(faults, np.geomspace(100, LONG, 1000), indices=range(1000))
        judged(faults, LONG, now=PERIOD_MS)
        usual.append(faults.usual_us)
    assert usual[0] == pytest.approx(np.sqrt(100 * LONG), rel=0.2)
    assert usual[1] == pytest.approx(100 * (LONG / 100) ** 0.95, rel=0.2)


def test_what_is_usual_is_measured_so_a_slower_machine_finds_the_same() -> None:
    random = np.random.default_rng(5)
    index = random.integers(0, 3000, 20_000)
    latency = (random.exponential(1 + index) * 50).astype(np.int32)
    now = np.sort(random.integers(0, 20 * PERIOD_MS, 20_000)).astype(np.uint64)
    found = []
    for slower in (1, 4):
        one = FaultLatency(HZ)
        one.target(1 << 20, 0)
        found.append(one.judge(index, latency * np.int32(slower), now))
    assert found[0].sum() > 100
    assert (found[0] != found[1]).mean() < 0.01


def test_a_page_that_moved_away_leaves_nothing_to_the_next_in_its_frame(known) -> None:
    judged(known, LONG, now=LATER)
    known.forget(np.array([0]))
    assert judged(known, SHORT, now=LATER) == [True]


def test_where_what_was_promoted_does_not_stay_it_takes_more(pressed) -> None:
    before = pressed.threshold_us
    for _ in range(20):
        pressed.undone(100, 26)
    assert pressed.hotter == MOST_HOTTER
    assert pressed.threshold_us < before
    for _ in range(200):
        pressed.undone(100, 25)
    assert pressed.hotter == LEAST_HOTTER


def rounds(faults: FaultLatency, draw, first: int = 2, count: int = 12) -> None:
    """Let all of 2,000 pages fault a round; `draw` gives their latencies."""
    for number in range(first, first + count):
        judged(faults, draw(), indices=OTHERS, now=number * PERIOD_MS)


def test_where_as_many_pages_are_hot_as_by_chance_nothing_is_promoted(pressed) -> None:
    random = np.random.default_rng(1)
    rounds(pressed, lambda: random.exponential(USUAL, 2000))
    assert pressed.flat
    assert pressed.excess == pytest.approx(1, abs=0.2)
    passed = pressed.passed
    rounds(pressed, lambda: random.exponential(USUAL, 2000), first=14)
    assert pressed.passed == passed


def test_nor_where_most_of_slow_memory_is_hot(pressed) -> None:
    random = np.random.default_rng(1)
    mean = np.where(np.arange(2000) < 1600, USUAL / 5, USUAL)
    rounds(pressed, lambda: random.exponential(mean), count=60)
    assert pressed.flat


def test_where_few_pages_are_far_hotter_they_are_promoted(pressed) -> None:
    random = np.random.default_rng(1)
    hot = np.arange(2000) < 100
    rounds(pressed, lambda: random.exponential(np.where(hot, SHORT / 10, USUAL)))
    assert not pressed.flat
    assert pressed.excess > STEEP


def test_few_faults_tell_nothing(pressed) -> None:
    few = range(LEAST_PAIRS - 1)
    for us in (USUAL * 4, USUAL // 100):
        judged(pressed, us, indices=few, now=PERIOD_MS)
    assert pressed.excess == 0


def test_but_where_some_are_far_hotter_few_are_enough(pressed) -> None:
    for number in range(4):
        hot = np.arange(100)
        judged(pressed, SHORT // 10, indices=hot, now=(number + 1) * PERIOD_MS)
        judged(pressed, 2 * USUAL, indices=100 + hot, now=(number + 1) * PERIOD_MS)
    assert pressed.excess > STEEP


def test_what_few_faults_a_period_tell_is_added_up(pressed) -> None:
    few, rounds_ = 100, LEAST_PAIRS // 100 + 2
    for number in range(rounds_):
        now = (number + 1) * PERIOD_MS
        judged(pressed, 2 * USUAL, indices=range(few), now=now)
        judged(pressed, USUAL // 2, indices=range(few, 2 * few), now=now)
    assert pressed.flat


def test_the_first_latencies_of_a_scan_tell_nothing_before_the_others_are_over(pressed) -> None:
    above, below = np.arange(10_000, 10_000 + 2 * LEAST_PAIRS).reshape(2, -1)
    judged(pressed, 2 * USUAL, indices=above, now=PERIOD_MS)
    judged(pressed, USUAL // 2, indices=below, now=PERIOD_MS)
    later = 4 * PERIOD_MS + PERIOD_MS // 2
    for pages in (above, below):  # the hot ones of both, which come first whatever they were
        judged(pressed, SHORT, indices=pages, now=later)
    judged(pressed, LONG, now=5 * PERIOD_MS)
    assert pressed.excess == 0
    judged(pressed, LONG, now=6 * PERIOD_MS)
    assert pressed.excess == pytest.approx(1, abs=0.01)


def test_a_latency_longer_than_is_waited_for_says_nothing_of_how_often_one_is_short(known) -> None:
    other = copy.deepcopy(known)
    judged(other, 20 * USUAL, indices=OTHERS[:200], now=LATER)
    for one in (known, other):
        judged(one, USUAL, indices=OTHERS[200:], now=LATER)
        judged(one, USUAL, now=LATER + 10 * PERIOD_MS)
    assert other.excess == known.excess


def test_a_page_that_faulted_before_it_was_known_what_is_usual_counts_as_well(faults) -> None:
    faults.target(1 << 20, 0)
    random = np.random.default_rng(3)
    judged(faults, random.exponential(USUAL, 2000), indices=OTHERS)
    rounds(faults, lambda: random.exponential(USUAL, 2000), first=1, count=5)
    assert faults.excess == pytest.approx(1, abs=0.3)


def test_where_heat_falls_off_gradually_latencies_must_be_shorter_still() -> None:
    random = np.random.default_rng(4)
    found = []
    for falls_off in (0.5, 2.0):
        faults = FaultLatency(HZ)
        faults.target(1 << 20, 0)
        mean = USUAL * np.geomspace(1 / 10**falls_off, 10**falls_off, 2000)
        rounds(faults, lambda mean=mean: random.exponential(mean), first=0, count=60)
        found.append((faults.excess, faults.threshold_us / faults.usual_us))
    (little, few), (much, many) = found
    assert little < CLEAR < much
    assert few == pytest.approx(2 ** (-(LEAST_HOTTER + MORE) / 4), rel=0.1)
    assert many == pytest.approx(2 ** (-LEAST_HOTTER / 4), rel=0.1)


def test_a_flat_load_heats_up_again(pressed) -> None:
    random = np.random.default_rng(1)
    rounds(pressed, lambda: random.exponential(USUAL, 2000))
    hot = np.arange(2000) < 300
    rounds(pressed, lambda: random.exponential(np.where(hot, SHORT / 10, USUAL)), 14, 30)
    assert not pressed.flat


def test_a_flat_load_that_changes_is_looked_at_anew_and_then_flat_no_more(pressed) -> None:
    random = np.random.default_rng(1)
    rounds(pressed, lambda: random.exponential(USUAL, 2000))
    assert pressed.flat
    hot = np.arange(2000) < 300
    rounds(pressed, lambda: random.exponential(np.where(hot, SHORT / 10, USUAL)), 14, 2)
    assert pressed.flat
    assert not pressed.resting
    rounds(pressed, lambda: random.exponential(np.where(hot, SHORT / 10, USUAL)), 16, 3)
    assert not pressed.flat


@pytest.mark.parametrize("marked", [0, 9000])
def test_what_is_found_does_not_depend_on_how_rows_are_cut(marked) -> None:
    random = np.random.default_rng(7)
    index = random.integers(0, 500, 9000)
    latency = (random.exponential(1 + index) * 5000).astype(np.int32)
    now = np.sort(random.integers(0, 20 * PERIOD_MS, 9000)).astype(np.uint64)
    whole, pieces = FaultLatency(HZ), FaultLatency(HZ)
    for one in (whole, pieces):
        one.target(1 << 14, 0)
        one.marked(marked)
    together = whole.judge(index, latency, now)
    cuts = [slice(at, at + 37) for at in range(0, 9000, 37)]
    apart = [pieces.judge(index[cut], latency[cut], now[cut]) for cut in cuts]
    assert np.array_equal(np.concatenate(apart), together)
    assert 0 < together.sum() < 9000


def engine(fidelity: Fidelity) -> Engine:
    memory = ArrayMemory([node(0, 0, 1, top=True, free=8000), node(1, 4 * SECTION, 1, top=False)])
    made = Engine(memory, fidelity=fidelity)
    made.write("enabled_sources", "1")
    made.start()
    return made


def record(made: Engine, latency: int) -> None:
    made.record_many(4 * SECTION, 0, HINTFAULT, 5, np.array([latency], np.int32))


@pytest.mark.parametrize("fidelity", [IMPROVED, V7])
def test_improved_promotes_on_one_fault_that_came_soon_v7_on_the_second(fidelity) -> None:
    made = engine(fidelity)
    record(made, SHORT)
    assert made.vmstat["pghot_recorded_hintfaults"] == 1
    moved = sum(batch.pages_moved for batch in made.look(6))
    assert moved == (1 if fidelity is IMPROVED else 0)


def test_a_fault_that_came_late_is_counted_and_not_recorded() -> None:
    made = engine(IMPROVED)
    for _ in range(4):
        record(made, LONG)
    assert made.vmstat["pghot_recorded_hintfaults"] == 4
    assert made.vmstat["pghot_recorded_accesses"] == 0
    assert made.fault_latency.over == 4


def test_an_observer_is_told_which_accesses_are_recorded_and_how_often() -> None:
    made = engine(IMPROVED)
    told: list[list[int]] = []

    class Observer:
        def chosen(self, rows) -> None:
            told.append(rows.tolist())

        def recorded(self, recorded) -> None:
            told.append(recorded.accesses.pfn.tolist())

    made.observer = Observer()
    pfns = 4 * SECTION + np.arange(3, dtype=np.uint64)
    latency = np.array([LONG, SHORT, fault_latency.UNKNOWN], np.int32)
    made.record_many(pfns, 0, HINTFAULT, 5, latency)
    assert told == [[1, 1, 2], [4 * SECTION + 1, 4 * SECTION + 1, 4 * SECTION + 2]]


def test_without_a_latency_faults_are_counted_as_they_come() -> None:
    made = engine(IMPROVED)
    for _ in range(2):
        record(made, fault_latency.UNKNOWN)
    assert sum(batch.pages_moved for batch in made.look(6)) == 1


def test_a_fault_that_is_not_possible_makes_no_page_ready_whatever_came_before(known) -> None:
    random = np.random.default_rng(3)
    for number in range(20):
        latency = random.exponential(USUAL / 4, 2000).astype(np.int32)
        possible = known.possible(latency)
        hot = np.array(judged(known, latency, indices=OTHERS, now=LATER + number))
        assert not (hot & ~possible).any()
        assert hot.any()
        assert not possible.all()


def test_of_a_latency_that_is_not_known_everything_is_possible(known) -> None:
    unknown = np.array([fault_latency.UNKNOWN], np.int32)
    assert known.possible(unknown).all()
    known.flat = True
    assert known.possible(unknown).all()
    assert not known.possible(np.array([1], np.int32)).any()


def test_a_run_that_is_behind_still_promotes_what_a_latency_has_made_ready() -> None:
    memory = ArrayMemory([node(0, 0, 1, top=True, free=900), node(1, 4 * SECTION, 1, top=False)])
    made = Engine(memory, fidelity=IMPROVED)
    made.write("enabled_sources", "1")
    made.start()
    record(made, SHORT)
    assert sum(batch.pages_moved for batch in made.look(5 + 3200)) == 1
