"""A run on a host with several nodes to promote to: which one a page goes to."""

from __future__ import annotations

import pytest

from pghot.engine.fidelity import V7
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.replaying.replay import replay
from pghot.replaying.settings import Settings
from tests.linux.host_trees import N, Z, write
from tests.live.world import (
    END,
    FAR_FAST,
    FAST,
    FIRST_FREE,
    MEMORYLESS,
    MIDDLE,
    PAGE,
    SLOW,
    Heard,
    World,
    run,
)

MODES = pytest.mark.parametrize("layout", [DEFAULT, PRECISE], ids=lambda layout: layout.name)
NEAR_CPU, FAR_CPU, LONE_CPU = 0, 2, 4


def zone(nid: int) -> tuple[Z, ...]:
    start = FIRST_FREE[nid] & ~0x7FFF
    return (Z("Normal", start, END[nid] - start),)


def node(nid: int, cpus: str, distance: str) -> N:
    blocks = tuple(range(FIRST_FREE[nid] >> 15, END[nid] >> 15))
    return N(nid, cpus, distance, zone(nid), blocks)


@pytest.fixture
def two_sockets(world: World) -> World:
    """Two sockets, one slow node between them, and CPUs without memory nearest to node 3."""
    world.be(
        (
            node(FAST, "0-1", "10 50 21 30"),
            node(SLOW, "", "50 10 50 60"),
            node(FAR_FAST, "2-3", "21 50 10 11"),
            N(MEMORYLESS, "4", "30 60 11 10"),
        ),
        {4: f"{FAST},{FAR_FAST}", 112: f"{SLOW}"},
    )
    return world


@pytest.fixture
def three_tiers(world: World) -> World:
    """DRAM, memory in between, and slow memory."""
    world.be(
        (
            node(FAST, "0-1", "10 50 24"),
            node(SLOW, "", "50 10 40"),
            node(MIDDLE, "", "24 40 10"),
        ),
        {4: f"{FAST}", 22: f"{MIDDLE}", 112: f"{SLOW}"},
    )
    return world


def hot(world: World, cpu: int, *pages: int) -> None:
    for page in pages:
        world.map(40, page)
    world.heat(40, *pages, cpu=cpu)


def on(world: World, *pages: int) -> list[int]:
    return [world.nid_of(40, page) for page in pages]


@MODES
def test_a_page_goes_to_the_node_of_the_cpu_that_accessed_it(two_sockets, layout):
    hot(two_sockets, NEAR_CPU, 100)
    hot(two_sockets, FAR_CPU, 200)
    run(two_sockets, layout=layout)
    assert on(two_sockets, 100, 200) == [FAST, FAR_FAST]


@MODES
def test_a_cpu_without_memory_promotes_to_the_nearest_top_tier_node(two_sockets, layout):
    hot(two_sockets, LONE_CPU, 100)
    run(two_sockets, layout=layout)
    assert on(two_sockets, 100) == [FAR_FAST]


def test_v7_keeps_to_the_global_target(two_sockets):
    hot(two_sockets, FAR_CPU, 100)
    run(two_sockets, fidelity=V7)
    assert on(two_sockets, 100) == [FAST]


@MODES
def test_the_last_cpu_that_accessed_it_counts(two_sockets, layout):
    hot(two_sockets, NEAR_CPU, 100)
    two_sockets.heat(40, 100, start_ms=90, times=1, cpu=FAR_CPU)
    two_sockets.heat(40, 100, start_ms=11, times=1, cpu=FAR_CPU)
    run(two_sockets, layout=layout, tunables={"kmigrated_sleep_ms": "300"})
    assert on(two_sockets, 100) == [FAST]


@MODES
def test_without_room_on_the_nearest_it_goes_to_the_next(two_sockets, layout):
    two_sockets.free[FAR_FAST] = 107  # its zone keeps 100, and half of what is near that
    hot(two_sockets, FAR_CPU, *range(100, 110))
    run(two_sockets, layout=layout)
    assert sorted(on(two_sockets, *range(100, 110))) == [FAST] * 7 + [FAR_FAST] * 3


@MODES
def test_it_stays_inside_the_cpuset_of_the_process(two_sockets, layout):
    write(two_sockets.root, "/proc/40/status", f"Tgid:\t40\nMems_allowed_list:\t{FAST}-{SLOW}")
    hot(two_sockets, FAR_CPU, 100)
    run(two_sockets, layout=layout)
    assert on(two_sockets, 100) == [FAST]


def test_where_the_cpuset_has_no_fast_node_nothing_is_asked_for(two_sockets):
    write(two_sockets.root, "/proc/40/status", f"Tgid:\t40\nMems_allowed_list:\t{SLOW}")
    hot(two_sockets, FAR_CPU, 100)
    result, _heard, _status = run(two_sockets)
    assert (on(two_sockets, 100), two_sockets.moves) == ([SLOW], [])
    assert result.state.live.refused["no_target"] >= 1


@pytest.mark.parametrize(
    ("policy", "stays"),
    [
        (f"bind:{SLOW}", True),
        (f"bind=static:{SLOW}", True),
        (f"prefer:{SLOW}", True),
        (f"interleave:{SLOW}", True),
        (f"bind:{FAST}-{SLOW}", False),
        (f"weighted interleave:{FAST}-{SLOW}", False),
        ("default", False),
        ("local", False),
        ("prefer (many):x", False),
    ],
)
def test_it_stays_inside_the_policy_of_its_mapping(two_sockets, policy, stays):
    maps = f"{100 * PAGE:x} {policy} anon=1 N1=1\n{200 * PAGE:x} default anon=1 N1=1"
    write(two_sockets.root, "/proc/40/numa_maps", maps)
    hot(two_sockets, NEAR_CPU, 100, 200)
    run(two_sockets)
    assert on(two_sockets, 100, 200) == [SLOW if stays else FAST, FAST]


def test_a_policy_holds_on_a_host_with_one_fast_node_too(world):
    write(world.root, "/proc/40/numa_maps", f"{100 * PAGE:x} bind:{SLOW} anon=1 N1=1")
    hot(world, NEAR_CPU, 100)
    run(world)
    assert on(world, 100) == [SLOW]


def test_of_three_tiers_pages_go_to_the_top(three_tiers):
    three_tiers.map(40, 100)
    three_tiers.map(40, 200, nid=MIDDLE)
    three_tiers.heat(40, 100, 200)
    run(three_tiers)
    assert on(three_tiers, 100, 200) == [FAST, FAST]


def test_or_one_tier_up_where_that_is_asked_for(three_tiers):
    three_tiers.map(40, 100)
    three_tiers.map(40, 200, nid=MIDDLE)
    three_tiers.heat(40, 100, 200, times=3, each_ms=10)
    result, _heard, _status = run(three_tiers, one_up=True)
    assert on(three_tiers, 100, 200) == [MIDDLE, FAST]
    assert result.running.staying is not None
    assert (
        len(result.running.staying._waiting) == 1
    )  # the one that reached the top is looked at again


def test_and_from_there_further_up_when_it_is_hot_again(three_tiers):
    three_tiers.map(40, 100)
    three_tiers.heat(40, 100, times=3, each_ms=10)
    three_tiers.heat(40, 100, start_ms=400)
    run(three_tiers, one_up=True)
    assert on(three_tiers, 100) == [FAST]


@MODES
@pytest.mark.parametrize("one_up", [False, True])
def test_a_replay_of_such_a_run_is_the_run(two_sockets, layout, one_up, tmp_path):
    world = two_sockets
    world.free[FAR_FAST] = 160
    hot(world, FAR_CPU, *range(100, 130))
    hot(world, LONE_CPU, *range(130, 140))
    hot(world, NEAR_CPU, *range(140, 150))
    write(world.root, "/proc/40/numa_maps", f"{145 * PAGE:x} bind:{SLOW} anon=1 N1=1")
    log = tmp_path / "log.parquet"
    _result, heard, _status = run(world, record=log, layout=layout, one_up=one_up)
    again = Heard()
    replay(log, None, Settings(layout=layout, fidelity=_result.engine.fidelity), observer=again)
    assert again.batches == heard.batches
    assert {batch[3] for batch in heard.batches} == {FAST, FAR_FAST}


def test_a_page_that_processes_share_moves_where_that_is_asked_for(world):
    world.map(40, 100)
    world.clock.at(5_000, lambda: world.fork(40, 42))
    world.heat(40, 100)
    result, _heard, _status = run(world, shared=True)
    assert (world.nid_of(40, 100), world.nid_of(42, 100)) == (FAST, FAST)
    assert result.state.live.promoted_pages == 1


def test_a_replay_of_a_run_on_three_tiers_goes_one_up_as_it_did(three_tiers, tmp_path):
    three_tiers.map(40, 100)
    three_tiers.map(40, 200, nid=MIDDLE)
    three_tiers.heat(40, 100, 200, times=3, each_ms=10)
    log = tmp_path / "log.parquet"
    result, heard, _status = run(three_tiers, record=log, one_up=True)
    again = Heard()
    replay(log, None, Settings(fidelity=result.engine.fidelity), observer=again)
    assert again.batches == heard.batches
    assert sorted(batch[3] for batch in again.batches) == [FAST, MIDDLE]
