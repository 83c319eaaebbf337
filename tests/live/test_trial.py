"""A trial on a made-up host, in virtual time: blocks in turn, and what is said of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from pghot.errors import InputError, PghotError
from pghot.linux.pages.batch_size import LatencyBudget
from pghot.linux.processes.metric_command import Numbers
from pghot.live import trial as trials
from pghot.live.options import LiveOptions
from pghot.live.trial_plan import TrialPlan
from pghot.results.trial import BETTER, FAST_SHARE, METRIC, STALL_SOME, WORSE
from pghot.results.verdict import CANNOT_BE_TOLD
from pghot.sources.choose import Choice
from tests.linux.host_trees import write
from tests.live.world import FAST, HUGE, MS, SCAN, SLOW, Asker, Source, World, run

HOT = range(100, 120)
COLD_FAST = range(500, 540)
BALANCING = "/proc/sys/kernel/numa_balancing"
SECOND = 1_000_000
PLAN = TrialPlan(pairs=6, block_s=3, warm_up_s=1, seed=7)
FOR_ALL = LiveOptions(pids=(40,), duration=PLAN.duration_s)
PRESSURE = (
    "some avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"
    "full avg10=0.00 avg60=0.00 avg300=0.00 total={}\n"
)


def busy(world: World, *, every_ms: int = 50) -> None:
    """Have the hot pages accessed for as long as anybody looks, and some fast ones."""

    def round_() -> None:
        for page in (*HOT, *COLD_FAST):
            world.access(40, page)
        at = (world.clock.ns - world.clock.start_ns) // 1000
        if at < 100 * SECOND:
            world.clock.at(at + every_ms * MS, round_)

    world.clock.at(10 * MS, round_)


@pytest.fixture
def loaded(world: World) -> World:
    """Twenty hot slow pages and forty fast ones, under hint faults; a host that never stalls."""
    write(world.root, "/proc/pressure/memory", PRESSURE.format(0, 0))
    for page in HOT:
        world.map(40, page)
    for page in COLD_FAST:
        world.map(40, page, nid=FAST)
    busy(world)
    return world


@pytest.fixture
def sampled(loaded: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The same, seen by hardware samples."""
    loaded.source = Source("hwhint")
    choice = Choice(("hwhint",), "hardware")
    monkeypatch.setattr("pghot.live.session.choose", lambda *_arguments: choice)
    return loaded


def where_at_the_ends(world: World, plan: TrialPlan = PLAN) -> list[tuple[int, str]]:
    """Hot pages on the fast node and kernel.numa_balancing, a little before each block ends."""
    seen: list[tuple[int, str]] = []

    def look() -> None:
        fast = sum(world.nid_of(40, page) == FAST for page in HOT)
        seen.append((fast, world.text(BALANCING)))

    for block in range(1, 2 * plan.pairs + 1):
        world.clock.at(plan.start_us(block) - 20 * MS, look)
    return seen


def test_pages_are_fast_in_blocks_with_promotion_and_where_they_were_in_those_without(loaded):
    seen = where_at_the_ends(loaded)
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    own = loaded.text(BALANCING)
    assert own != "2"
    assert seen == [(20, "2") if arm == 0 else (0, own) for arm in PLAN.order()]
    blocks = result.running.trial.result().blocks
    assert [block.arm for block in blocks] == PLAN.order()
    assert [block.why for block in blocks] == [""] * 12
    assert [block.promoted_pages for block in blocks] == [20 * (1 - arm) for arm in PLAN.order()]
    assert result.state.live.ended == "the time was up"


def test_in_each_pair_both_kinds_are_there_and_which_is_first_is_drawn():
    orders = [replace(PLAN, seed=seed).order() for seed in range(200)]
    for order in orders:
        assert all({*pair} == {0, 1} for pair in zip(order[::2], order[1::2], strict=True))
    assert orders[3] == replace(PLAN, seed=3).order()
    firsts = [arm for order in orders for arm in order[::2]]
    assert 500 < sum(firsts) < 700  # of 1,200; seeds are fixed


def test_with_hardware_samples_the_share_served_fast_is_held_side_by_side(sampled):
    result, _heard, _status = run(sampled, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    share = found.measures()[FAST_SHARE]
    assert (found.verdict, found.deciding()) == (BETTER, FAST_SHARE)
    assert share.means == pytest.approx((1.0, 40 / 60), abs=0.01)
    assert share.low > 0.3
    assert share.confidence > 0.95
    assert result.summary()["trial"]["measures"]["fast_share"]["pairs"] == 6


def test_with_hint_faults_alone_nothing_says_whether_it_helped(loaded):
    result, heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    assert (found.verdict, found.deciding()) == (CANNOT_BE_TOLD, None)
    assert heard.said("only stalls are measured, which do not tell whether it helps")
    assert FAST_SHARE not in found.measures()
    assert found.measures()[STALL_SOME].difference == 0


def test_a_trial_that_can_measure_nothing_is_refused(loaded):
    write(loaded.root, "/proc/pressure/memory", "")
    before = loaded.text(BALANCING)
    with pytest.raises(InputError, match="nothing here can be measured"):
        run(loaded, FOR_ALL, trial=PLAN)
    assert loaded.text(BALANCING) == before


def test_stalls_for_memory_are_told_and_do_not_decide(sampled):
    """A tenth of the time in blocks with promotion, none in the others."""
    state = {"some": 0}

    def tick() -> None:
        if sampled.text(BALANCING) == "2" or result_arm(sampled) == 0:
            state["some"] += 10_000
        write(sampled.root, "/proc/pressure/memory", PRESSURE.format(state["some"], 0))
        at = (sampled.clock.ns - sampled.clock.start_ns) // 1000
        sampled.clock.at(at + 100 * MS, tick)

    def result_arm(world: World) -> int:
        at = (world.clock.ns - world.clock.start_ns) / 1e9
        return PLAN.order()[min(int(at / PLAN.block_s), 11)]

    sampled.clock.at(100 * MS, tick)
    result, _heard, _status = run(sampled, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    stalled = found.measures()[STALL_SOME]
    assert stalled.means == pytest.approx((0.1, 0.0), abs=0.01)
    assert stalled.verdict == WORSE
    assert found.verdict == BETTER


class Metric:
    """A metric command in virtual time: its number is made by `number`."""

    started = 0

    def __init__(self, number) -> None:
        self._number = number

    def start(self) -> None:
        type(self).started += 1

    def read(self) -> None:
        """Nothing comes meanwhile."""

    def end(self) -> Numbers:
        return self._number()

    def close(self) -> None:
        """Nothing runs."""

    gone = True


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Iterator:
    """Let the metric command be one that gives what a function says at the end of a block."""

    def metric(number) -> TrialPlan:
        monkeypatch.setattr(trials, "MetricCommand", lambda _command: Metric(number))
        return replace(PLAN, metric_command="true", better="lower")

    Metric.started = 0
    return metric


def test_the_users_own_metric_decides_where_there_is_one(sampled, metric):
    def slow_pages() -> Numbers:
        slow = sum(sampled.nid_of(40, page) == SLOW for page in HOT)
        return Numbers(3, 100.0 + slow)

    plan = metric(slow_pages)
    result, _heard, _status = run(sampled, FOR_ALL, trial=plan)
    found = result.running.trial.result()
    assert (found.verdict, found.deciding()) == (BETTER, METRIC)
    assert found.measures()[METRIC].means == (100.0, 120.0)
    assert found.measures()[METRIC].high == pytest.approx(-20)
    assert Metric.started == 12
    higher = replace(plan, better="higher")
    again = replace(found, better="higher")
    assert again.verdict == WORSE, higher


def test_a_metric_that_fails_in_the_first_block_ends_the_trial_and_leaves_the_host(loaded, metric):
    plan = metric(lambda: Numbers(0, 0.0, "exit status 3"))
    before = {name: loaded.text(name) for name in (BALANCING, f"{SCAN}/scan_delay_ms")}
    with pytest.raises(PghotError, match=r"^--metric-command: exit status 3, in the first block"):
        run(loaded, FOR_ALL, trial=plan)
    assert {name: loaded.text(name) for name in before} == before


def test_a_metric_that_fails_later_costs_its_pair_and_is_told_once(loaded, metric):
    calls = iter(range(100))
    plan = metric(
        lambda: Numbers(0, 0.0, "no number") if next(calls) in {4, 8} else Numbers(1, 5.0)
    )
    result, heard, _status = run(loaded, FOR_ALL, trial=plan)
    found = result.running.trial.result()
    assert found.measures()[METRIC].pairs == 4
    assert found.measures()[METRIC].low is None
    assert found.verdict == CANNOT_BE_TOLD
    assert len(heard.said("no number, in block 5: its pair has no metric")) == 1
    assert [block.lacking.get(METRIC) for block in found.blocks].count("no number") == 2


@pytest.mark.parametrize("at_ms", [500, 2_900, 4_100, 7_700, 16_500])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_trial_leaves_the_settings_as_they_were(loaded, at_ms, number):
    names = (BALANCING, f"{SCAN}/scan_delay_ms", f"{SCAN}/scan_period_max_ms")
    before = {name: loaded.text(name) for name in names}
    loaded.clock.at(at_ms * MS, lambda: os.kill(os.getpid(), number))
    result, _heard, status = run(loaded, FOR_ALL, trial=PLAN)
    assert {name: loaded.text(name) for name in names} == before
    assert (result.state.live.ended, status) == (f"stopped by {signal.Signals(number).name}", 0)
    found = result.running.trial.result()
    assert len(found.blocks) == at_ms // 3000
    assert found.verdict == CANNOT_BE_TOLD


def test_an_error_in_any_block_leaves_the_settings_as_they_were(loaded):
    before = loaded.text(BALANCING)

    def fails() -> None:
        raise RuntimeError("in the middle")

    loaded.clock.at(13_500 * MS, fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        run(loaded, FOR_ALL, trial=PLAN)
    assert loaded.text(BALANCING) == before


def test_a_block_whose_pages_do_not_come_back_in_time_does_not_count(loaded, monkeypatch):
    """A page takes 100 ms to move: twenty take 2 s, the warm-up is one."""
    one_a_call = partial(LatencyBudget, maximum=1)
    monkeypatch.setattr("pghot.live.moving_back.LatencyBudget", one_a_call)
    loaded.ns_a_page = 100_000_000
    plan = replace(PLAN, block_s=6, warm_up_s=1)
    options = replace(FOR_ALL, duration=plan.duration_s)
    result, _heard, _status = run(loaded, options, trial=plan)
    found = result.running.trial.result()
    after_on = [at for at in range(1, 12) if plan.order()[at - 1] == 0]
    assert after_on
    for at in after_on:
        assert found.blocks[at].why == trials.NOT_BACK
    assert found.verdict == CANNOT_BE_TOLD


def test_what_is_promoted_only_after_the_warm_up_is_told(loaded):
    late = range(200, 230)
    for page in late:
        loaded.map(40, page)
    for block in range(12):
        loaded.heat(40, *late, start_ms=PLAN.start_us(block) // MS + 1500, each_ms=50)
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    (note,) = result.running.trial.result().notes
    assert note.startswith("60% of what was promoted came after the warm-up")


def test_a_page_that_is_another_by_now_is_not_moved_back(loaded):
    """It was unmapped and mapped again, on the fast node, in the middle of a block."""
    order = PLAN.order()
    on = order.index(0)
    at = PLAN.start_us(on) + 2 * SECOND

    def another() -> None:
        loaded.unmap(40, 100)
        loaded.map(40, 700, nid=FAST)  # takes the frame
        loaded.map(40, 100, nid=FAST)

    where = []
    loaded.clock.at(at, another)
    loaded.clock.at(
        PLAN.start_us(on + 1) + 900 * MS,
        lambda: where.extend(loaded.nid_of(40, page) for page in (100, 101)),
    )
    run(loaded, FOR_ALL, trial=PLAN)
    assert where == [FAST, SLOW]


def test_blocks_that_the_run_has_slept_through_do_not_count(loaded):
    """It stands still from second 7 to second 19: in block 3 (6 to 9 s), up to 7 (18 to 21 s)."""

    def stands_still() -> None:
        loaded.clock.ns += 12 * 10**9

    loaded.clock.at(7 * SECOND, stands_still)
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    whys = [block.why for block in found.blocks]
    assert whys == [
        "", "", trials.ENDED_LATE, *[trials.BEGAN_LATE] * 4, "", "", "", "", "",
    ]  # fmt: skip
    assert [block.arm for block in found.blocks] == PLAN.order()
    assert {pair[0].pair for pair in found.complete()} == {0, 4, 5}
    assert all(block.measured_s == block.end_s for block in found.blocks[3:6])


def test_a_block_of_which_little_is_left_to_measure_does_not_count(loaded):
    """It stands still for a second when the third block's warm-up is nearly over."""

    def stands_still() -> None:
        loaded.clock.ns += 10**9

    loaded.clock.at(6_800 * MS, stands_still)
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    whys = [block.why for block in result.running.trial.result().blocks]
    assert whys == ["", "", trials.MEASURED_LATE, *[""] * 9]


def test_a_huge_folio_goes_back_as_one(loaded):
    loaded.map(40, 1024, pages=HUGE)
    for block in range(12):
        loaded.heat(40, 1024 + 77, start_ms=PLAN.start_us(block) // MS + 300, each_ms=50)
    where = []
    for block in range(1, 13):
        loaded.clock.at(
            PLAN.start_us(block) - 20 * MS, lambda: where.append(loaded.nid_of(40, 1024))
        )
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    assert where == [FAST if arm == 0 else SLOW for arm in PLAN.order()]
    blocks = result.running.trial.result().blocks
    assert max(block.moved_back_pages for block in blocks) == HUGE + len(HOT)


def test_pages_of_a_process_that_has_gone_are_not_looked_for_and_others_come_back(loaded):
    loaded.process(41)
    for page in range(800, 810):
        loaded.map(41, page)
    loaded.heat(41, *range(800, 810), start_ms=100, times=6)
    on = PLAN.order().index(0)
    assert on == 0
    loaded.clock.at(2 * SECOND, lambda: loaded.exit(41))
    options = replace(FOR_ALL, pids=(40, 41))
    result, _heard, _status = run(loaded, options, trial=PLAN)
    blocks = result.running.trial.result().blocks
    assert blocks[0].promoted_pages == 30
    assert blocks[1].moved_back_pages == 20
    assert len(result.running.trial.result().complete()) == 6


def test_a_full_slow_node_keeps_pages_fast_and_that_is_told(loaded):
    loaded.clock.at(2 * SECOND, lambda: loaded.free.update({SLOW: 0}))
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    assert any("could not be moved back" in note for note in result.running.trial.result().notes)


def test_a_setting_that_somebody_else_changes_costs_the_block(loaded):
    on = PLAN.order().index(0, 2)
    at = PLAN.start_us(on) + 2 * SECOND
    loaded.clock.at(at, lambda: loaded.write(BALANCING, "3"))
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    assert found.blocks[on].why == trials.DISTURBED
    assert on // 2 not in {block.pair for pair in found.complete() for block in pair}
    assert found.complete()
    assert loaded.text(BALANCING) == "3"


def test_what_the_kernel_promotes_itself_is_told(loaded):
    off = PLAN.order().index(1)
    at = PLAN.start_us(off) + 2 * SECOND
    loaded.clock.at(at, lambda: setattr(loaded, "kernel_promoted", 1234))
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    (note,) = result.running.trial.result().notes
    assert (
        "promoted 0 pages in blocks of 'promotion on' and 1,234 in those of 'promotion off'"
        in (note)
    )


def test_where_the_kernel_promotes_when_we_do_not_that_is_told(loaded):
    loaded.write(BALANCING, "2")
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    (note,) = result.running.trial.result().notes
    assert note.startswith("numa_balancing was 2 before the run: in blocks of 'promotion off'")


def test_two_settings_are_tried_against_each_other(loaded):
    plan = replace(PLAN, against={"freq_threshold": "3", "pghot_promote_rate_limit_MBps": "0"})
    seen = []
    asked: list[int] = []

    def look() -> None:
        seen.append(sum(loaded.nid_of(40, page) == FAST for page in HOT))
        asked.append(int(loaded.text(BALANCING)))

    for block in range(1, 13):
        loaded.clock.at(plan.start_us(block) - 20 * MS, look)
    loaded.free[FAST] = 30_000
    result, _heard, _status = run(loaded, FOR_ALL, trial=plan)
    assert seen == [20 * (1 - arm) for arm in plan.order()]
    assert set(asked) == {2}
    assert (
        result.running.trial.result().arms[1] == "freq_threshold=3 pghot_promote_rate_limit_MBps=0"
    )


@pytest.mark.parametrize(
    ("against", "line"),
    [
        ({"freq_threshold": "9"}, "freq_threshold: '9' is not within"),
        ({"freq_thresold": "1"}, "--against: no tunable 'freq_thresold'"),
        ({"freq_threshold": "2"}, "--against: the run has these values already"),
    ],
)
def test_settings_that_cannot_be_tried_are_refused_before_anything_is_measured(
    loaded, against, line
):
    before = loaded.text(BALANCING)
    with pytest.raises((InputError, ValueError), match=line):
        run(loaded, FOR_ALL, trial=replace(PLAN, against=against))
    assert loaded.text(BALANCING) == before
    assert loaded.moves == []


def test_no_tunable_can_be_written_while_a_trial_goes_on(loaded):
    asker = Asker()
    asker.at(loaded, 2_000, "freq_threshold", "1")
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN, mailbox=asker.mailbox)
    why = asker.answered().refused["freq_threshold", "1"]
    assert why.startswith("freq_threshold: cannot change while a trial goes on")
    assert result.engine.tunables["freq_threshold"] == 2


def test_the_plan_is_told_first_and_the_state_says_which_block_it_is(loaded):
    said = []
    plan = replace(PLAN, warm_up_s=1.5)
    result, heard, _status = run(
        loaded, FOR_ALL, trial=plan, status=lambda now: said.append(now.live.trial_progress)
    )
    assert heard.said("6 pairs of blocks of 3 s, the first 1.5 s of each left out")
    assert heard.said("--trial-seed 7")
    assert said[0] == f"trial 1/12, {PLAN.arms[PLAN.order()[0]]}, warm-up"
    assert said[1].endswith("measuring")
    assert result.running.trial.progress == "trial 12/12"


def test_what_reclaim_demotes_meanwhile_is_told(loaded, monkeypatch):
    demoted = [0]
    plain = World.text

    def text(world: World, name: str) -> str:
        more = f"\npgdemote_kswapd {demoted[0]}\npgdemote_direct 5"
        return plain(world, name) + (more if name == "/proc/vmstat" else "")

    monkeypatch.setattr(World, "text", text)
    loaded.clock.at(PLAN.start_us(3) + SECOND, lambda: demoted.append(demoted.pop() + 700))
    result, _heard, _status = run(loaded, FOR_ALL, trial=PLAN)
    found = result.running.trial.result()
    assert [block.demoted_pages for block in found.blocks].index(700) == 3
    (note,) = found.notes
    assert note.startswith("reclaim demoted 700 pages in the trial")
