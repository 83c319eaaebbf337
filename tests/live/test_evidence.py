"""What is known of whether a run helps: shares of samples, faults, stalls, before and since."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from pghot.live.evidence import LAST_S, Mark, RunMarks, ServedSamples
from pghot.live.options import LiveOptions
from pghot.sources.choose import Choice
from tests.linux.host_trees import write
from tests.live.test_trial import COLD_FAST, HOT, PRESSURE, busy
from tests.live.world import FAST, MS, SLOW, Source, World, run

SECOND = 1_000_000


@pytest.fixture
def sampled(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Twenty hot slow pages and forty fast ones, seen by hardware samples."""
    for page in HOT:
        world.map(40, page)
    for page in COLD_FAST:
        world.map(40, page, nid=FAST)
    world.source = Source("hwhint")
    choice = Choice(("hwhint",), "hardware")
    monkeypatch.setattr("pghot.live.session.choose", lambda *_arguments: choice)
    busy(world)
    return world


def test_samples_are_counted_by_the_node_that_served_them_and_by_tier() -> None:
    served = ServedSamples()
    toptier = np.array([True, False, False, True])
    served.add(np.array([0, 0, 1, 3, 3, 3]), toptier)
    served.add(np.array([], np.int64), toptier)
    served.add(np.array([2]), toptier)
    assert dict(served.by_node) == {0: 2, 1: 1, 2: 1, 3: 3}
    assert (served.samples, served.fast) == (7, 5)


def test_shares_of_a_span_are_of_what_was_counted_in_it() -> None:
    before = Mark(SECOND, samples=10, fast=1, slow_faults=5, some_us=1000)
    now = Mark(3 * SECOND, samples=30, fast=16, slow_faults=25, some_us=201_000, full_us=20_000)
    span = now.since(before)
    assert span.fast_share == 0.75
    assert span.slow_faults_a_second == 10
    assert span.share_of_time(span.some_us) == pytest.approx(0.1)
    assert Mark(0).fast_share is None
    assert Mark(0).slow_faults_a_second == 0


def test_before_is_until_the_first_promotion_since_is_after_it_and_last_ten_seconds(world) -> None:
    evidence = RunMarks(world, None, by_faults=True, by_samples=True)
    toptier = np.array([True, False])
    faults = [0]
    evidence.slow_faults = lambda: faults[0]
    evidence.begin()
    for second in range(1, 31):
        evidence.served.add(np.array([1, 1, 1, 0] if second <= 5 else [0, 0, 0, 1]), toptier)
        faults[0] += 7 if second <= 25 else 1
        if second == 5:
            evidence.promoted(second * SECOND)
        if second == 6:
            evidence.promoted(second * SECOND)  # not the first
        evidence.second(second * SECOND)
    told = asdict(evidence.helps(30 * SECOND))
    served = told["served"]
    assert served["before"] == {"samples": 20, "fast": 5, "fast_share": 0.25}
    assert served["since"] == {"samples": 100, "fast": 75, "fast_share": 0.75}
    assert served["last"]["samples"] == 4 * LAST_S
    assert served["all"]["fast_share"] == pytest.approx(80 / 120)
    assert served["by_node"] == {"0": 80, "1": 40}
    assert told["slow_faults"]["last"] == {"faults": 7 * 5 + 5, "per_s": 4.0}
    assert told["memory_stall"] is None


def test_a_run_with_hardware_samples_tells_what_was_served_fast_before_and_since(sampled) -> None:
    result, _heard, _status = run(sampled, LiveOptions(pids=(40,), duration=20))
    helps = result.summary()["live"]["helps"]
    assert helps["served"]["before"]["fast_share"] == pytest.approx(40 / 60)
    assert helps["served"]["since"]["fast_share"] > 0.99
    assert helps["served"]["last"]["fast_share"] == 1
    assert helps["slow_faults"] is None
    assert result.state.live.fast_share == result.summary()["fast_share"]
    both = helps["served"]["before"], helps["served"]["since"]
    assert helps["served"]["all"]["samples"] == sum(part["samples"] for part in both)


def test_samples_of_others_are_none_of_the_targets(sampled) -> None:
    sampled.process(41)
    for page in range(900, 950):
        sampled.map(41, page)
    sampled.heat(41, *range(900, 950), times=40)
    result, _heard, _status = run(sampled, LiveOptions(pids=(40,), duration=2))
    share = result.summary()["live"]["helps"]["served"]["before"]["fast_share"]
    assert share == pytest.approx(40 / 60)


def test_a_run_with_hint_faults_tells_their_rate_and_no_share(world) -> None:
    for page in HOT:
        world.map(40, page)
    world.heat(40, *HOT, times=2, each_ms=10)
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=4))
    helps = result.summary()["live"]["helps"]
    assert helps["served"] is None
    assert helps["slow_faults"]["all"] == {"faults": 40, "per_s": pytest.approx(10, rel=0.01)}
    assert result.state.live.fast_share is None


def test_stalls_are_those_of_the_control_group_where_one_is_watched(world) -> None:
    write(world.root, "/proc/pressure/memory", PRESSURE.format(5_000_000, 0))
    write(world.root, "/sys/fs/cgroup/cgroup.controllers", "memory")
    write(world.root, "/sys/fs/cgroup/web/cgroup.procs", "40")
    ours = "/sys/fs/cgroup/web/memory.pressure"
    write(world.root, ours, PRESSURE.format(1_000, 500))
    world.map(40, 100, nid=SLOW)
    later = PRESSURE.format(201_000, 100_500)
    world.clock.at(1_500 * MS, lambda: world.path(ours).write_text(later))
    result, _heard, _status = run(world, LiveOptions(cgroup="web", duration=2))
    stall = result.summary()["live"]["helps"]["memory_stall"]
    assert stall["of"] == ours
    assert (stall["all"]["some_us"], stall["all"]["full_us"]) == (200_000, 100_000)
    assert stall["all"]["some"] == pytest.approx(0.1, rel=0.01)


@pytest.mark.parametrize("text", ["", "some avg10=0.00", "x\n", "full avg10=1 total=5"])
def test_a_kernel_without_pressure_tells_none(world, text) -> None:
    write(world.root, "/proc/pressure/memory", text)
    result, _heard, _status = run(world)
    assert result.summary()["live"]["helps"]["memory_stall"] is None
