"""What the latency of a hint fault says of its page (fidelity `improved`)."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.engine import fault_latency
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.fault_latency import HOT_THRESHOLD_MS, LEAST_PAIRS, PERIOD_MS, FaultLatency
from pghot.engine.fidelity import IMPROVED, V7, Fidelity
from tests.rig import SECTION, node

HZ = 1000
HINTFAULT = 0
SHORT, VERY_SHORT, LONG = 500, 20, 5000


def judged(faults: FaultLatency, latencies, *, places=(0,), now: int = 0) -> list[bool]:
    """Judge faults of pages that all have these latencies, at one instant."""
    place = np.array(places, np.int64)
    latency = np.broadcast_to(np.asarray(latencies, np.int32), place.shape)
    return faults.judge(place, latency, np.full(len(place), now, np.uint64)).tolist()


@pytest.fixture
def faults() -> FaultLatency:
    return FaultLatency(HZ)


@pytest.fixture
def pressed(faults: FaultLatency) -> FaultLatency:
    """Faults of a target of 2^20 pages, none of them free above the promotion watermark."""
    faults.target(1 << 20, 0)
    return faults


def test_with_room_one_latency_below_the_threshold_makes_a_page_ready(faults) -> None:
    assert judged(faults, HOT_THRESHOLD_MS - 1) == [True]
    assert judged(faults, HOT_THRESHOLD_MS) == [False]


def test_without_room_it_takes_two_in_a_row(pressed) -> None:
    assert [judged(pressed, ms) for ms in (SHORT, LONG, SHORT, SHORT)] == [
        [False],
        [False],
        [False],
        [True],
    ]


def test_or_a_very_short_one(pressed) -> None:
    assert judged(pressed, VERY_SHORT) == [True]


def test_a_page_that_moved_away_leaves_nothing_to_the_next_in_its_frame(pressed) -> None:
    judged(pressed, SHORT)
    pressed.forget(np.array([0]))
    assert judged(pressed, SHORT) == [False]


def test_the_threshold_falls_while_more_pass_than_a_minute_may_bring(pressed) -> None:
    allowed = pressed.target_pages // 64 * PERIOD_MS // 60_000
    before = pressed.threshold_ms
    for period in range(3):
        judged(pressed, VERY_SHORT // 20, places=range(4 * allowed), now=period * PERIOD_MS)
    assert pressed.threshold_ms == pytest.approx(before / 4, rel=0.01)


def test_and_rises_again_to_where_it_was(pressed) -> None:
    pressed.threshold_ms = 100
    judged(pressed, LONG, now=100 * PERIOD_MS)
    assert pressed.threshold_ms == 125
    for period in range(101, 120):
        judged(pressed, LONG, now=period * PERIOD_MS)
    assert pressed.threshold_ms == HOT_THRESHOLD_MS


def rounds(faults: FaultLatency, draw, count: int = 12) -> None:
    """Let all of 2,000 pages fault a round; `draw` gives their latencies."""
    pages = np.arange(2000)
    for number in range(count):
        judged(faults, draw(), places=pages, now=number * PERIOD_MS)


def test_where_short_latencies_fall_on_any_page_nothing_is_promoted(pressed) -> None:
    random = np.random.default_rng(1)
    rounds(pressed, lambda: np.where(random.random(2000) < 0.3, SHORT // 10, LONG))
    assert pressed.flat
    assert judged(pressed, 0) == [False]


def test_where_they_fall_on_the_same_pages_those_are_promoted(pressed) -> None:
    random = np.random.default_rng(1)
    hot = np.arange(2000) < 300
    rounds(pressed, lambda: np.where(hot ^ (random.random(2000) < 0.05), 0, LONG))
    assert not pressed.flat
    assert pressed.lift > 3
    assert judged(pressed, 0) == [True]


def test_few_faults_tell_nothing(pressed) -> None:
    judged(pressed, SHORT, places=range(LEAST_PAIRS - 1))
    judged(pressed, SHORT, places=range(LEAST_PAIRS - 1))
    assert pressed.lift == 0


def test_a_flat_load_heats_up_again(pressed) -> None:
    random = np.random.default_rng(1)
    rounds(pressed, lambda: np.where(random.random(2000) < 0.3, SHORT // 10, LONG))
    hot = np.arange(2000) < 200
    for number in range(12, 80):
        judged(pressed, np.where(hot, 0, LONG), places=range(2000), now=number * PERIOD_MS)
    assert not pressed.flat


def test_what_is_found_does_not_depend_on_how_rows_are_cut() -> None:
    random = np.random.default_rng(7)
    place = random.integers(0, 500, 5000)
    latency = random.integers(0, 3000, 5000).astype(np.int32)
    now = np.sort(random.integers(0, 20 * PERIOD_MS, 5000)).astype(np.uint64)
    whole, pieces = FaultLatency(HZ), FaultLatency(HZ)
    for one in (whole, pieces):
        one.target(1 << 14, 0)
    together = whole.judge(place, latency, now)
    apart = []
    for at in range(0, 5000, 37):
        cut = slice(at, at + 37)
        apart.append(pieces.judge(place[cut], latency[cut], now[cut]))
    assert pieces.threshold_ms == whole.threshold_ms
    assert (pieces.passed, pieces.over) == (whole.passed, whole.over)
    assert np.array_equal(np.concatenate(apart), together)


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


def test_without_a_latency_faults_are_counted_as_they_come() -> None:
    made = engine(IMPROVED)
    for _ in range(2):
        record(made, fault_latency.UNKNOWN)
    assert sum(batch.pages_moved for batch in made.look(6)) == 1
