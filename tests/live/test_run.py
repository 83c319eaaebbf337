"""A run on a made-up host, in virtual time: what moves, what does not, and why."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pghot.engine.fidelity import IMPROVED, V7
from pghot.engine.reasons import LIVE
from pghot.engine.recent_pages import LEAST_SETS
from pghot.errors import PghotError
from pghot.linux.processes.following import FamilyLook
from pghot.live.machine import HostMachine
from pghot.live.options import LiveOptions
from pghot.live.rmap import Rmap
from pghot.log.read import open_log
from pghot.replaying.replay import replay
from pghot.replaying.settings import Settings
from tests.linux.host_trees import write
from tests.live.world import ADDED, FAST, HUGE, MS, SCAN, SLOW, Heard, run

HOT, COLD = range(100, 140), range(140, 200)


def fill(world, pages, pid=40, **facts):
    for page in pages:
        world.map(pid, page, **facts)


def test_hot_pages_are_promoted_and_cold_ones_are_not(world):
    fill(world, [*HOT, *COLD])
    world.heat(40, *HOT)
    world.heat(40, *COLD, times=1)
    result, _heard, status = run(world)
    assert {world.nid_of(40, page) for page in HOT} == {FAST}
    assert {world.nid_of(40, page) for page in COLD} == {SLOW}
    assert (result.state.live.promoted_pages, result.state.live.found_hot, status) == (
        len(HOT),
        len(HOT),
        0,
    )


def test_settings_are_taken_for_the_run_and_come_back(world):
    fill(world, HOT)
    seen = []
    names = ("/proc/sys/kernel/numa_balancing", f"{SCAN}/scan_delay_ms")
    before = [world.text(name) for name in names]
    world.clock.at(500 * MS, lambda: seen.append(world.text(names[0])))
    run(world)
    assert seen == ["2"]
    assert [world.text(name) for name in names] == before


def test_settings_come_back_after_an_error_in_the_middle(world):
    fill(world, HOT)
    before = world.text("/proc/sys/kernel/numa_balancing")

    def fails():
        raise RuntimeError("in the middle")

    world.clock.at(300 * MS, fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        run(world)
    assert world.text("/proc/sys/kernel/numa_balancing") == before
    assert world.source.closed


def test_a_page_that_was_freed_and_reused_since_is_not_moved(world):
    fill(world, [100])
    world.process(41)
    world.heat(40, 100, times=3, each_ms=10)

    def reuse():
        world.unmap(40, 100)
        world.map(41, 500)

    world.clock.at(90 * MS, reuse)
    result, _heard, _status = run(world)
    assert world.nid_of(41, 500) == SLOW
    assert result.state.live.promoted_pages == 0


def test_a_page_that_is_unmapped_before_its_move_is_counted_and_nothing_else_happens(world):
    fill(world, [100, 101])
    world.heat(40, 100, 101, times=3, each_ms=10)
    world.clock.at(101 * MS, lambda: world.unmap(40, 100))
    result, _heard, _status = run(world)
    assert world.nid_of(40, 101) == FAST
    assert result.state.live.promoted_pages == 1
    assert [pages for _pid, pages, _nid in world.moves] == [[101]]
    assert result.state.live.left_out["of pages freed since"] == 3


def test_a_hot_page_that_is_unmapped_while_it_waits_is_told_as_no_longer_that_page(world):
    fill(world, [100, 101])
    world.free[FAST] = 0
    world.heat(40, 100, 101, times=3, each_ms=10)
    world.clock.at(150 * MS, lambda: world.unmap(40, 100))
    world.clock.at(150 * MS, lambda: world.free.update({FAST: 50_000}))
    result, _heard, _status = run(world)
    assert world.nid_of(40, 101) == FAST
    assert result.state.live.refused["not that page"] >= 1
    assert "unmovable" not in result.state.live.refused


def test_a_page_that_is_unmapped_while_its_batch_moves_is_told_by_name(world):
    fill(world, [100, 101])
    world.heat(40, 100, 101)
    world.on_move = lambda: world.tables[40].pop(100, None)
    result, _heard, _status = run(world)
    assert world.nid_of(40, 101) == FAST
    assert result.state.live.refused["ENOENT"] >= 1


def test_what_a_process_had_before_an_exec_is_not_moved_and_what_it_has_then_is(world):
    fill(world, [99, *HOT])
    world.heat(40, 99, times=2, each_ms=10)  # moves at once: the page table is open by then
    world.heat(40, *HOT, start_ms=110, times=3, each_ms=10)

    def another_program():
        world.execute(40)
        world.process(41)
        fill(world, HOT, pid=41)  # has the frames now
        fill(world, HOT)  # other frames at the same addresses

    moved = []
    world.clock.at(195 * MS, another_program)
    world.clock.at(350 * MS, lambda: moved.extend(pages for _pid, pages, _nid in world.moves))
    world.heat(40, *HOT, start_ms=410)
    result, _heard, _status = run(world)
    assert moved == [[99]]
    assert result.state.live.refused["not that page"] >= len(HOT)
    assert {world.nid_of(40, page) for page in HOT} == {FAST}
    assert {world.nid_of(41, page) for page in HOT} == {SLOW}


def test_a_process_that_vanishes_in_the_middle_ends_the_run(world):
    fill(world, HOT)
    world.heat(40, *HOT, times=1)
    world.clock.at(400 * MS, lambda: world.exit(40))
    result, _heard, status = run(world, LiveOptions(pids=(40,)))
    assert (result.state.live.ended, status) == ("the targets ended", 0)


def test_a_forked_childs_pages_are_its_own_once_it_writes(world):
    fill(world, [100])
    world.clock.at(50 * MS, lambda: world.fork(40, 42))
    world.clock.at(60 * MS, lambda: world.map(42, 300))
    world.heat(42, 300, start_ms=110)
    run(world)
    assert world.nid_of(42, 300) == FAST


def test_a_shared_page_stays_and_is_told_by_name(world):
    fill(world, [100])
    world.clock.at(5 * MS, lambda: world.fork(40, 42))
    world.heat(40, 100)
    result, _heard, _status = run(world)
    assert world.nid_of(40, 100) == SLOW
    assert result.state.live.refused["EACCES"] >= 1


def test_a_huge_folio_moves_as_one_and_counts_all_its_pages(world):
    world.map(40, 512, pages=HUGE)
    world.heat(40, 512 + 77)
    result, heard, _status = run(world)
    assert world.nid_of(40, 512) == FAST
    assert result.state.live.promoted_pages == HUGE
    assert [pages for *_, pages, _moved, _n in heard.batches] == [[HUGE]]


def test_a_folio_that_was_split_is_learnt_anew(world):
    world.map(40, 512, pages=HUGE)
    world.clock.at(1 * MS, lambda: world.access(40, 520))
    world.clock.at(150 * MS, lambda: world.split(40, 512))
    world.heat(40, 520, start_ms=160)
    result, _heard, _status = run(world)
    assert result.state.live.promoted_pages == 1
    assert world.nid_of(40, 520) == FAST
    assert world.nid_of(40, 521) == SLOW


def test_a_batch_never_mixes_memcgs_and_each_is_counted(world):
    fill(world, range(100, 110), memcg=7)
    fill(world, range(110, 125), memcg=9)
    world.heat(40, *range(100, 125))
    result, heard, _status = run(world)
    assert {batch[4] for batch in heard.batches} == {7, 9}
    assert dict(result.engine.memcg_promoted) == {7: 10, 9: 15}


@pytest.mark.parametrize(("fidelity", "moves"), [(IMPROVED, True), (V7, False)])
def test_a_busy_page_is_tried_again_by_improved_and_must_be_hot_again_in_v7(
    world, fidelity, moves
):
    fill(world, [100])
    world.busy.add((40, 100))
    world.heat(40, 100, times=2, each_ms=10)
    world.clock.at(250 * MS, world.busy.clear)
    result, _heard, _status = run(world, fidelity=fidelity)
    assert result.state.live.refused["EBUSY"] >= 1
    assert (world.nid_of(40, 100) == FAST) is moves


def test_a_full_target_takes_nothing_and_is_told(world):
    world.free[FAST] = 0
    fill(world, HOT)
    world.heat(40, *HOT)
    result, _heard, _status = run(world)
    assert result.state.live.promoted_pages == 0
    assert result.state.live.refused["isolation"] >= len(HOT)


def test_what_a_zone_keeps_for_others_is_no_room(world):
    world.free[FAST], world.protected[FAST] = 1000, 900  # above a min watermark of 100
    fill(world, HOT)
    world.heat(40, *HOT)
    result, _heard, _status = run(world)
    assert result.state.live.promoted_pages == 0
    assert result.state.live.refused["isolation"] >= len(HOT)


def test_a_dry_run_judges_and_moves_nothing(world):
    fill(world, HOT)
    world.heat(40, *HOT, times=2, each_ms=10)
    result, _heard, _status = run(world, dry_run=True)
    assert world.moves == []
    assert result.state.live.promoted_pages == len(HOT)


def test_moves_that_are_over_their_budget_wait_and_are_told(world):
    fill(world, HOT)
    world.heat(40, *HOT)
    result, _heard, _status = run(world, move_share=1e-6)
    assert 0 < result.state.live.promoted_pages < len(HOT)
    assert result.state.live.refused["move budget"] > 0
    assert result.summary()["live"]["move_cost"]["share_of_a_cpu"] > 0


def test_a_slow_kernel_halves_the_batches(world):
    fill(world, range(100, 1300))
    world.heat(40, *range(100, 1300), times=2, each_ms=10)
    world.ns_a_page = 200_000
    result, _heard, _status = run(world, budget_ms=20)
    assert result.running.mover.budget.over >= 1
    sizes = [len(pages) for _pid, pages, _nid in world.moves]
    assert sizes[1] <= sizes[0] // 2
    assert sum(sizes) == result.state.live.promoted_pages == 1200


def test_accesses_of_others_make_no_row_and_are_counted(world):
    world.process(41)
    fill(world, [100], pid=41)
    world.heat(41, 100)
    result, _heard, _status = run(world)
    assert (result.state.accesses, result.state.live.left_out["of other processes"]) == (0, 4)
    assert world.nid_of(41, 100) == SLOW


@pytest.mark.parametrize(("fidelity", "moves"), [(IMPROVED, True), (V7, False)])
def test_hot_added_memory_is_followed_by_improved_alone(world, fidelity, moves):
    fill(world, [100])
    world.clock.at(1000 * MS, world.grow)
    world.clock.at(6000 * MS, lambda: world.map(40, 900, ADDED))
    world.heat(40, 900, start_ms=6100)
    run(world, LiveOptions(pids=(40,), duration=7), fidelity=fidelity)
    assert (world.nid_of(40, 900) == FAST) is moves


def test_a_host_whose_nodes_lie_on_both_sides_of_each_other_is_served(world, tmp_path):
    world.interleave()
    fill(world, HOT)
    world.heat(40, *HOT)
    log = tmp_path / "log.parquet"
    result, heard, _status = run(world, record=log)
    assert result.state.live.promoted_pages == len(HOT)
    with open_log(log) as opened:
        fast, slow = opened.metadata.machine["node"]
    assert fast["ranges"] == [[0x8000, 0x20000], [0x140000, 0x160000]]
    assert (slow["start_pfn"], slow["pages"]) == (0x100000, 0x40000)
    again = Heard()
    replay(log, settings=Settings(fidelity=result.engine.fidelity), observer=again)
    assert again.batches == heard.batches != []


@pytest.mark.parametrize("fidelity", [IMPROVED, V7])
def test_memory_that_comes_below_a_nodes_first_range_is_recorded_and_replayed(
    world, tmp_path, fidelity
):
    fill(world, [100])
    world.heat(40, 100)
    world.clock.at(1000 * MS, world.grow_below)
    world.clock.at(6000 * MS, lambda: world.map(40, 900))
    world.heat(40, 900, start_ms=6100)
    log = tmp_path / "log.parquet"
    options = LiveOptions(pids=(40,), duration=7)
    result, heard, _status = run(world, options, record=log, fidelity=fidelity)
    assert result.running.machine.mem_map.slots_of_node(SLOW).size == 9
    assert world.nid_of(40, 900) == FAST
    again = Heard()
    replay(log, settings=Settings(fidelity=fidelity), observer=again)
    assert again.batches == heard.batches
    assert len(heard.batches) == 2


def test_a_setting_that_somebody_else_changes_is_told_once(world):
    world.clock.at(100 * MS, lambda: world.write("/proc/sys/kernel/numa_balancing", "0"))
    _result, heard, _status = run(world, LiveOptions(pids=(40,), duration=12))
    assert len(heard.said("numa_balancing was set to 0 by somebody else")) == 1


def test_what_somebody_else_set_meanwhile_is_left_as_it_is(world):
    switch = "/proc/sys/kernel/numa_balancing"
    world.clock.at(100 * MS, lambda: world.write(switch, "1"))
    result, _heard, _status = run(world)
    assert world.text(switch) == "1"
    assert result.running.session.guard.restored.left_alone.keys() == {switch}
    assert world.text(f"{SCAN}/scan_delay_ms") == "1000"


def test_a_second_run_at_once_refuses_names_the_first_and_disturbs_nothing(world):
    fill(world, HOT)
    world.heat(40, *HOT)
    refusals = []

    def second():
        before = world.text("/proc/sys/kernel/numa_balancing")
        with pytest.raises(PghotError) as refusal:
            run(world)
        refusals.append(str(refusal.value))
        assert world.text("/proc/sys/kernel/numa_balancing") == before == "2"

    world.clock.at(80 * MS, second)
    result, _heard, _status = run(world)
    (line,) = refusals
    assert line.startswith(f"pghot runs here already: pid {os.getpid()}, ")
    assert Path("/proc/self/cmdline").read_text().split("\0")[0] in line
    assert result.state.live.promoted_pages == len(HOT)


def test_move_pages_of_a_process_without_memory_is_one_that_has_gone(world):
    fill(world, HOT)
    world.heat(40, *HOT)

    def no_mm():
        raise OSError(errno.EINVAL, "move_pages: Invalid argument")

    world.on_move = no_mm
    result, _heard, _status = run(world)
    assert result.state.live.refused["ESRCH"] >= len(HOT)


def test_a_host_without_a_slow_node_is_one_line_that_says_what_may_help(world):
    with pytest.raises(PghotError, match=r"nothing to promote .*: try --tiers 0/1$"):
        run(world, LiveOptions(pids=(40,), tiers="0,1"))


def test_who_falls_behind_sleeps_through_the_wake_ups_that_went_by(world):
    fill(world, HOT)
    world.heat(40, *HOT)
    world.ns_a_page = 50_000_000
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=3))
    assert result.state.live.promoted_pages == len(HOT)
    elapsed_us = round(result.state.live.real_s * 1e6)
    instant = round(result.state.elapsed_s * 1e6)
    assert 0 <= elapsed_us - instant < 2 * 100 * MS


def test_looking_for_processes_takes_a_hundredth_of_the_time_at_the_most(world, monkeypatch):
    fill(world, HOT)
    looks = []
    look = FamilyLook.look

    def slowly(looking):
        looks.append(world.clock.now_us())
        world.clock.ns += 40 * MS * 1000
        return look(looking)

    monkeypatch.setattr(FamilyLook, "look", slowly)
    run(world, LiveOptions(pids=(40,), duration=13))
    assert len(looks) >= 3
    assert min(np.diff(looks)) >= 100 * 40 * MS


def test_pages_whose_owner_was_let_go_stay_and_count_as_such(world, monkeypatch):
    monkeypatch.setattr(HostMachine, "lower_tier_pages", 0)
    monkeypatch.setattr("pghot.live.running.Rmap", partial(Rmap, least=LEAST_SETS))  # 64 owners
    many = range(100, 400)
    fill(world, many)
    world.heat(40, *many)
    result, _heard, _status = run(world, fidelity=V7)
    live = result.state.live
    assert LIVE["owner not known"].startswith("whose it is was let go")
    assert 0 < live.promoted_pages < live.found_hot
    assert live.found_hot == live.promoted_pages + live.refused["owner not known"]
    assert live.owners.kept <= 64
    assert live.owners.let_go >= len(many) - 64
    assert result.summary()["live"]["owners"]["let_go"] == live.owners.let_go


def test_owners_are_kept_of_lower_tiers_alone(world):
    fill(world, HOT)
    fill(world, COLD, nid=FAST)
    world.free[FAST] = 0  # what has moved needs no owner
    world.heat(40, *HOT, *COLD)
    result, _heard, _status = run(world)
    assert result.state.live.owners.kept == len(HOT)


def test_a_file_of_the_host_that_is_damaged_during_a_run_is_told_and_the_run_goes_on(world):
    fill(world, HOT)
    name = "/sys/devices/system/node/node1/distance"
    world.clock.at(2000 * MS, lambda: write(world.root, name, "fifty 10"))
    world.heat(40, *HOT, start_ms=9000)
    result, heard, _status = run(world, LiveOptions(pids=(40,), duration=10))
    assert result.state.live.promoted_pages == len(HOT)
    assert heard.said(f"{name}: 'fifty': wants a number")


def test_owners_are_kept_of_pages_that_are_ready_alone(world):
    world.free[FAST] = 0
    others = [*range(300, 900)]
    fill(world, [*HOT, *others])
    world.heat(40, *HOT)
    world.heat(40, *others, times=1, start_ms=250)
    result, _heard, _status = run(world)
    owners = result.state.live.owners
    assert (owners.kept, owners.let_go) == (len(HOT), 0)
