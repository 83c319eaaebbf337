"""The processes that are pointed at, and those that come of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.processes.procstat import parse_stat, read_stat
from pghot.linux.processes.targets import Cgroup, Everything, Pids, Targets, parse_pids
from tests.linux.proc_tree import STAT, ProcTree


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    tree = ProcTree(tmp_path)
    tree.process(1, ppid=0, comm="systemd", starttime=1)
    tree.process(40)
    tree.process(50)
    return tree


def resolved(tree: ProcTree, *pids: int) -> Pids:
    targets = Pids(pids)
    targets.resolve(tree.host)
    return targets


def holds(targets: Targets, *pids: int) -> list[bool]:
    return targets.contains(np.array(pids, np.int32)).tolist()


def test_only_what_was_named_is_a_target(tree: ProcTree) -> None:
    targets = resolved(tree, 40)
    assert holds(targets, 50, 40, 1, 0, 40) == [False, True, False, False, True]
    assert targets.members == {40: 1000}
    assert (targets.starttime(40), targets.starttime(50)) == (1000, 0)
    assert targets.alive()


def test_children_of_children_are_targets_too(tree: ProcTree) -> None:
    tree.process(39, ppid=60)  # ids are no order
    tree.process(60, ppid=40)
    targets = resolved(tree, 40)
    assert holds(targets, 39, 60, 50) == [True, True, False]
    tree.process(70, ppid=39)
    assert holds(targets, 70) == [False]
    targets.refresh()
    assert holds(targets, 70) == [True]


def test_a_child_stays_a_target_when_its_parent_has_gone(tree: ProcTree) -> None:
    tree.process(60, ppid=40)
    targets = resolved(tree, 40)
    tree.gone(40)
    tree.process(60, ppid=1)
    targets.refresh()
    assert targets.members == {60: 1000}
    assert targets.alive()
    tree.gone(60)
    targets.refresh()
    assert not targets.alive()


def test_a_pid_that_comes_again_is_no_target(tree: ProcTree) -> None:
    targets = resolved(tree, 40)
    tree.process(40, starttime=2000)
    tree.process(60, ppid=40)
    targets.refresh()
    assert holds(targets, 40, 60) == [False, False]


def test_a_zombie_has_no_memory_unless_other_threads_go_on(tree: ProcTree) -> None:
    targets = resolved(tree, 40)
    tree.process(40, state="Z", threads=3)
    targets.refresh()
    assert targets.alive()
    tree.process(40, state="Z")
    targets.refresh()
    assert not targets.alive()


def test_a_fork_that_perf_tells_of_is_followed_at_once(tree: ProcTree) -> None:
    targets = resolved(tree, 40)
    tree.process(60, ppid=1)
    assert targets.forked(40, 60)
    assert not targets.forked(50, 61)
    assert not targets.forked(40, 40)
    assert targets.forked(40, 62)  # gone already: its samples may be there yet
    assert holds(targets, 62) == [True]
    targets.refresh()
    assert holds(targets, 60, 61, 62) == [True, False, False]


def test_an_exit_that_perf_tells_of_ends_a_target_but_a_threads_exit_does_not(
    tree: ProcTree,
) -> None:
    targets = resolved(tree, 40)
    assert targets.exited(40)
    assert targets.alive()
    tree.gone(40)
    assert targets.exited(40)
    assert not targets.alive()
    assert not targets.exited(50)


def test_an_exec_leaves_a_target_what_it_is(tree: ProcTree) -> None:
    targets = resolved(tree, 40)
    tree.process(40, comm="other")
    assert targets.executed(40)
    assert not targets.executed(50)
    targets.refresh()
    assert holds(targets, 40) == [True]


def test_what_cannot_be_watched_is_told_in_one_line(tree: ProcTree) -> None:
    tree.process(2, comm="kthreadd", flags=0x00208040)
    tree.process(60, state="Z", comm="done")
    tree.process(41, tgid=40)
    for pid, message in [
        (4711, "-p 4711: no such process"),
        (2, "-p 2: kthreadd is a kernel thread and has no memory of its own"),
        (60, "-p 60: done has exited already"),
        (41, "-p 41: a thread of process 40; give -p 40"),
    ]:
        with pytest.raises(InputError) as raised:
            resolved(tree, 40, pid)
        assert str(raised.value) == message


def test_everything_is_every_process_but_the_idle_task(tree: ProcTree) -> None:
    targets = Everything()
    targets.resolve(tree.host)
    assert targets.everything
    assert holds(targets, -1, 0, 1, 4711) == [False, False, True, True]
    targets.refresh()
    assert targets.alive()


def test_a_cgroups_processes_are_targets_as_long_as_they_are_in_it(tree: ProcTree) -> None:
    group = tree.root / "sys/fs/cgroup/web"
    group.mkdir(parents=True)
    (group.parent / "cgroup.controllers").write_text("cpu memory\n")
    (group / "cgroup.procs").write_text("40\n")
    targets = Cgroup("/web")
    targets.resolve(tree.host)
    assert holds(targets, 40, 50) == [True, False]
    (group / "cgroup.procs").write_text("50\n4711\n")
    targets.refresh()
    assert targets.members == {50: 1000}
    (group / "cgroup.procs").write_text("")
    targets.refresh()
    assert not targets.members
    assert targets.alive()  # the group may fill again
    (group / "cgroup.procs").unlink()
    assert not targets.alive()


@pytest.mark.parametrize(("text", "pids"), [("7", [7]), ("7,8", [7, 8]), ("8, 7,8", [8, 7])])
def test_process_ids_are_given_with_commas(text: str, pids: list[int]) -> None:
    assert parse_pids(text) == pids


@pytest.mark.parametrize("text", ["", "x", "1,", "-1", "0", "1.5", "²"])
def test_what_is_no_list_of_process_ids_is_told(text: str) -> None:
    with pytest.raises(InputError, match=r"^-p .*wants process ids"):
        parse_pids(text)


@given(comm=st.text(min_size=1, max_size=15), starttime=st.integers(0, 2**63))
def test_a_command_name_may_hold_anything(comm: str, starttime: int) -> None:
    line = STAT.format(
        pid=9, comm=comm, state="R", ppid=4, flags=64, threads=2, starttime=starttime
    )
    stat = parse_stat(line.strip())
    assert (stat.comm, stat.starttime) == (comm, starttime)
    assert (stat.pid, stat.ppid, stat.state, stat.flags, stat.num_threads) == (9, 4, "R", 64, 2)


@pytest.mark.parametrize("line", ["", "9", "9 (a", "9 (a) S 1", "(a) " + "1 " * 30])
def test_what_is_no_stat_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        parse_stat(line)


def test_on_this_kernel_our_own_process_is_read(tmp_path: Path) -> None:
    stat = read_stat(Host(), os.getpid())
    assert stat is not None
    assert (stat.pid, stat.ppid) == (os.getpid(), os.getppid())
    assert stat.lives
    assert not stat.kernel_thread
    assert stat.starttime > 0
    assert read_stat(Host(tmp_path), 1) is None


def test_a_fork_or_an_exit_costs_the_same_however_many_targets_there_are(
    tree: ProcTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: no list of all targets is made anew for one of them."""
    targets = resolved(tree, 40)
    copies = []
    monkeypatch.setattr(targets, "_set", copies.append)
    for pid in range(1000, 1200):
        tree.process(pid, ppid=40)
        assert targets.forked(40, pid)
    held = targets.members
    assert holds(targets, 1000, 1199, 1200) == [True, True, False]
    for pid in range(1000, 1200):
        tree.gone(pid)
        assert targets.exited(pid)
    assert targets.members is held
    assert holds(targets, 1000, 1199, 40) == [False, False, True]
    assert copies == []
