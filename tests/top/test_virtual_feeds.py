"""A real replay and a real simulation as feeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pghot.cli.shipped import shipped
from pghot.engine.errors import TunableError
from pghot.errors import InputError, PghotError
from pghot.log.read import open_log
from pghot.log.write import create_log
from pghot.replaying.replay import replay
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled
from pghot.simulated.scenario.scenario import Scenario
from pghot.top.replay_feed import ReplayFeed
from pghot.top.sim_feed import SimFeed
from pghot.top.state import TopState
from pghot.top.virtual_feed import VirtualFeed

LOG, MACHINE = shipped("sqlite.parquet", "examples"), None
LONG_S = 120.0


def last_of(feed: VirtualFeed) -> TopState:
    """Let a feed go to its end, and give its last state."""
    feed.start()
    last = None
    while (state := feed.next_state(LONG_S)) is not None:
        last = state
    assert last is not None
    return last


def at(time_s: float, **options: float) -> TopState:
    feed = ReplayFeed(LOG, MACHINE, speed=0, until_s=time_s, **options)
    feed.start()
    state = feed.next_state(LONG_S)
    assert state is not None
    return state


def test_the_last_state_of_a_replay_is_what_came_of_it() -> None:
    state, result = last_of(ReplayFeed(LOG, MACHINE, speed=0)), replay(LOG, MACHINE)
    assert state.ended == "the log is at its end"
    assert (state.accesses, state.promoted, state.batches) == (
        result.accesses,
        result.pages_promoted,
        result.batches,
    )
    assert state.time_s == result.elapsed_us / 1e6
    assert {node.nid: node.free for node in state.nodes} == {
        nid: result.memory.free_pages(nid) for nid in (0, 1)
    }
    assert [node.toptier for node in state.nodes] == [True, False]


def test_a_replay_has_the_same_state_at_the_same_time() -> None:
    first, second = at(20.0), at(20.0)
    assert first == second
    assert first.time_s == 20.0
    assert 0 < first.accesses < 830_009


def test_regions_are_by_address_hottest_first_over_ten_seconds() -> None:
    state = at(20.0)
    assert [row.per_s for row in state.regions] == sorted(
        (row.per_s for row in state.regions), reverse=True
    )
    with open_log(LOG) as log:
        rows = [chunk.columns for chunk in log.chunks(("time_us", "vaddr"))]
    time = np.concatenate([row["time_us"] for row in rows])
    place = np.concatenate([row["vaddr"] for row in rows]) >> np.uint64(21)
    recent = place[(time > 11_000_000) & (time <= 20_000_000)]
    number, counts = np.unique(recent, return_counts=True)
    hottest = int(number[counts.argmax()])
    assert state.regions[0].name == f"{hottest << 21:x}-{(hottest + 1) << 21:x}"
    assert state.processes == []  # the log has no pids


def test_processes_are_those_of_a_log_with_pids(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    rows = 400
    with create_log(path, optional=("pid",)) as writer:
        writer.write(
            {
                "time_us": np.arange(rows, dtype=np.uint64) * 1000,
                "pfn": np.full(rows, 1 << 19, np.uint64) + np.arange(rows, dtype=np.uint64) % 4,
                "nid": np.zeros(rows, np.int16),
                "source": np.ones(rows, np.int8),
                "pid": np.where(np.arange(rows) % 4 == 0, 7, 9).astype(np.int32),
            }
        )
    machine = shipped("two-tier.toml", "examples")
    state = last_of(ReplayFeed(path, machine, speed=0))
    assert [(row.pid, row.promoted) for row in state.processes] == [(9, 3), (7, 1)]
    assert state.regions[0].name == "phys 80000000-80200000"


def test_a_tunable_written_into_a_replay_changes_what_comes() -> None:
    feed = ReplayFeed(LOG, MACHINE, speed=1.0, period_s=0.01)
    feed.start()
    assert feed.next_state(LONG_S) is not None
    feed.write("enabled_sources", "0")
    with pytest.raises(TunableError, match=r"freq_threshold: '9' is not within 1\.\.3"):
        feed.write("freq_threshold", "9")
    with pytest.raises(PghotError, match="--set kmigrated_sleep_ms=5"):
        feed.write("kmigrated_sleep_ms", "5")
    feed.set_speed(0)
    state = None
    while (came := feed.next_state(LONG_S)) is not None:
        state = came
    assert state is not None
    # The replay names the sources that the log had, at its end: of rows, few were recorded.
    assert state.promoted < 3_000


def test_a_replay_that_cannot_be_says_why(tmp_path: Path) -> None:
    feed = ReplayFeed(tmp_path / "none.parquet", MACHINE)
    feed.start()
    with pytest.raises(InputError, match=r"none\.parquet"):
        feed.next_state(LONG_S)
    assert feed.over


def test_a_feed_that_is_closed_ends_its_thread() -> None:
    feed = ReplayFeed(LOG, MACHINE, speed=0.001)
    feed.start()
    assert feed.next_state(LONG_S) is not None
    feed.close()
    assert not feed._thread.is_alive()
    assert feed.over


@pytest.fixture(scope="module")
def small() -> Scenario:
    return scaled(load_scenario("gups", POLICIES), 1 / 64)


@pytest.mark.parametrize("policy", ["pghot-hintfault", "none"])
def test_the_last_state_of_a_simulation_is_what_came_of_it(small: Scenario, policy: str) -> None:
    state = last_of(SimFeed(small, policy, name="gups", speed=0))
    outcome = simulate(small, policy)
    assert state.name == f"gups, {policy}"
    assert (state.promoted, state.demoted) == (outcome.promoted, outcome.demoted)
    assert state.refused == outcome.refused
    assert state.accesses == int(outcome.accesses)
    assert state.time_s == outcome.run_s
    assert (state.found is None) == (policy == "none")


def test_the_regions_of_a_simulation_say_how_much_is_fast(small: Scenario) -> None:
    state = last_of(SimFeed(small, "pghot-hintfault", name="gups", speed=0))
    (region,) = state.regions
    assert region.name == "memory"
    top = state.nodes[0]
    assert top.toptier
    assert region.fast_pages == top.pages - top.free > 0


def test_a_policy_without_tunables_says_so(small: Scenario) -> None:
    feed = SimFeed(small, "none", name="gups", speed=0.001)
    feed.start()
    assert feed.next_state(LONG_S) is not None
    with pytest.raises(PghotError, match="freq_threshold: the policy has no tunables"):
        feed.write("freq_threshold", "1")
    feed.close()
