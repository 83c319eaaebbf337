"""Throttling, one state a target node (R4)."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.engine import throttle_state
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.throttle import Limits, judge_folio
from pghot.engine.throttle_verdicts import ADMITTED, ENOUGH_PAGES, OVER_THRESHOLD, RATE_LIMITED
from tests.rig import FAST, SECTION, SLOW_PFN, node

WINDOW = 3000


class OneNode:
    """The throttle of one target without free room, unless told otherwise."""

    def __init__(self):
        self.pgdat = throttle_state.make_pgdat()

    def judge(self, *, enough=False, pages=1, latency=0, window=WINDOW, limit=1000, now=0):
        limits = Limits(1, window, limit, now, 1000, True)
        return judge_folio(self.pgdat, 0, enough, pages, latency, limits)

    def __getitem__(self, name):
        return int(self.pgdat[0][name])


# R4.1
@pytest.mark.parametrize(
    ("pages", "present"), [(ENOUGH_PAGES, 64 * SECTION), (16 * SECTION, 256 * SECTION)]
)
def test_free_room_is_more_than_watermark_plus_the_larger_of_1_gib_and_a_sixteenth(pages, present):
    for free, enough in ((pages + 7, False), (pages + 8, True)):
        sections = present // SECTION
        memory = ArrayMemory([node(0, 0, sections, top=True, free=free, wmark=7)])
        assert throttle_state.free_space_enough(memory.zones(0), present) is enough


# R4.1
def test_with_free_room_a_candidate_passes_at_once_and_the_threshold_resets():
    target = OneNode()
    target.pgdat[0]["nbp_threshold"] = 77
    assert target.judge(enough=True, pages=512, latency=10**6, limit=0) == ADMITTED
    assert target["nbp_threshold"] == 0
    assert target["pgpromote_candidate_nrl"] == 512
    assert target["pgpromote_candidate"] == 0


# R4.2
def test_a_latency_of_the_threshold_or_more_is_refused_and_not_counted():
    target = OneNode()
    assert target.judge(latency=WINDOW) == OVER_THRESHOLD
    assert target["pgpromote_candidate"] == 0
    assert target.judge(latency=WINDOW - 1) == ADMITTED
    assert target["pgpromote_candidate"] == 1


def test_an_adjusted_threshold_stands_in_for_the_window():
    target = OneNode()
    target.pgdat[0]["nbp_threshold"] = 500
    assert target.judge(latency=500) == OVER_THRESHOLD
    assert target.judge(latency=499) == ADMITTED


# R4.3, R4.4
def test_candidates_are_counted_first_and_refused_from_the_limit_on():
    target = OneNode()
    findings = [target.judge(limit=3) for _ in range(4)]
    assert findings == [ADMITTED, ADMITTED, RATE_LIMITED, RATE_LIMITED]
    assert target["pgpromote_candidate"] == 4


# R4.4
def test_a_new_period_starts_at_the_present_count_once_more_than_a_second_has_passed():
    target = OneNode()
    for _ in range(5):
        target.judge(limit=3, now=0)
    assert target.judge(limit=3, now=1000) == RATE_LIMITED
    assert target.judge(limit=3, now=1001) == ADMITTED
    assert target["nbp_rl_start"] == 1001
    assert target["nbp_rl_nr_cand"] == 7


def test_a_limit_of_zero_admits_nothing():
    target = OneNode()
    assert [target.judge(limit=0, now=now) for now in (0, 5000)] == [RATE_LIMITED] * 2


def test_the_limit_is_in_mebibytes_a_second_of_4_kib_pages(rig):
    rig = rig(free=5000, tunables={"pghot_promote_rate_limit_MBps": "1"})
    rig.touch(*range(SLOW_PFN, SLOW_PFN + 400), now=10, times=2)
    rig.look(100)
    assert rig.stat("pgpromote_success") == 255
    assert rig.stat("pgpromote_candidate") == 400
    assert rig.engine.refused == {"rate_limit": 145}


# R4.5
def test_more_than_110_percent_of_the_expected_candidates_lowers_the_threshold_by_a_unit():
    target = OneNode()
    target.pgdat[0]["pgpromote_candidate"] = 66_001
    target.judge(limit=1000, now=60_001)
    assert target["nbp_threshold"] == WINDOW - WINDOW * 2 // 16


def test_fewer_than_90_percent_raises_it_by_a_unit():
    target = OneNode()
    target.pgdat[0]["pgpromote_candidate"] = 53_999
    target.judge(limit=1000, now=60_001)
    assert target["nbp_threshold"] == WINDOW + WINDOW * 2 // 16


def test_between_the_two_it_is_kept():
    for candidates in (54_000, 66_000):
        target = OneNode()
        target.pgdat[0]["pgpromote_candidate"] = candidates
        target.judge(limit=1000, now=60_001)
        assert target["nbp_threshold"] == WINDOW


# R4.5
def test_it_moves_at_most_once_in_60_seconds():
    target = OneNode()
    for now in (60_000, 60_001, 120_001, 120_002):
        target.judge(limit=1000, now=now)
    assert target["nbp_threshold"] == WINDOW + 2 * (WINDOW * 2 // 16)


def test_it_never_rises_above_twice_the_window_nor_falls_under_one_unit():
    up, down = OneNode(), OneNode()
    for minute in range(1, 40):
        up.judge(limit=1000, now=minute * 60_001)
        down.pgdat[0]["pgpromote_candidate"] += 100_000
        down.judge(limit=1000, now=minute * 60_001)
    assert up["nbp_threshold"] == 2 * WINDOW
    assert down["nbp_threshold"] == WINDOW * 2 // 16


def test_the_milliseconds_clock_wraps_at_32_bits():
    target = OneNode()
    late = (1 << 32) - 10
    target.judge(limit=1000, now=late)
    assert target["nbp_rl_start"] == late
    target.judge(limit=1000, now=995)
    assert target["nbp_rl_start"] == 995


def test_each_target_has_a_state_of_its_own(rig):
    nodes = [
        node(0, 0, 1, top=True, free=100),
        node(2, SECTION, 1, top=True, free=100),
        node(1, SLOW_PFN, 1, top=False),
    ]
    rig = rig(nodes=nodes)
    rig.touch(SLOW_PFN, now=10, times=2)
    rig.look(100)
    rig.engine.write("target_nid", "2")
    rig.touch(SLOW_PFN + 1, now=110, times=2)
    rig.look(200)
    assert rig.engine.pgdat["pgpromote_candidate"][[0, 2]].tolist() == [1, 1]


# R4.6, R5.9
def test_switching_memory_tiering_on_resets_the_throttle(rig):
    rig = rig()
    pgdat = rig.engine.pgdat[FAST]
    pgdat["nbp_threshold"], pgdat["pgpromote_candidate"] = 99, 1234
    rig.engine.write("numa_balancing", "1", now=5000)
    assert pgdat["nbp_threshold"] == 99
    rig.engine.write("numa_balancing", "2", now=6000)
    assert pgdat["nbp_threshold"] == 0
    assert pgdat["nbp_th_nr_cand"] == 1234
    assert pgdat["nbp_th_start"] == 6000
    pgdat["nbp_threshold"] = 55
    rig.engine.write("numa_balancing", "3", now=7000)  # it was on already
    assert pgdat["nbp_threshold"] == 55


def test_free_room_is_read_again_after_every_batch(rig):
    free = ENOUGH_PAGES + 5
    rig = rig(
        nodes=[node(0, 0, 16, top=True, free=free), node(1, 16 * SECTION, 1, top=False)],
        tunables={"kmigrated_batch_nr": "2"},
    )
    rig.engine.record_many(np.arange(16 * SECTION, 16 * SECTION + 12).repeat(2), 0, 1, 10)
    rig.look(100)
    # Batches of three: 5, then 2 pages above the mark, then below it.
    assert rig.stat("pgpromote_candidate_nrl") == 6
    assert rig.stat("pgpromote_candidate") == 6
