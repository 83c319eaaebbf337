"""Targets are looked for beside a run: by what is new in /proc, and some of the old in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.processes import following
from pghot.linux.processes.following import IN_TURN, Change, look_for
from pghot.linux.processes.pid_set import PID_MAX_LIMIT, PidSet
from pghot.linux.processes.targets import UNREAD, Cgroup, Everything, Pids, Targets
from tests.linux.proc_tree import ProcTree


@pytest.fixture
def tree(tmp_path: Path) -> ProcTree:
    tree = ProcTree(tmp_path)
    tree.process(1, ppid=0, comm="systemd", starttime=1)
    tree.process(40)
    tree.process(50)
    return tree


class Followed:
    """Targets, and somebody who looks for them."""

    def __init__(self, targets: Targets, tree: ProcTree) -> None:
        self.targets = targets
        self.told: list[str] = []
        targets.resolve(tree.host)
        self.looking = look_for(targets, self.told.append)

    def look(self) -> Change:
        change = self.looking.look()
        self.targets.changed(change.came, change.gone, change.cpu_ticks)
        return change

    @property
    def members(self) -> dict[int, int]:
        return dict(self.targets.members)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The processes whose stat was read by a look, one after the other."""
    read, real = [], following.read_stat

    def counted(host, pid):
        read.append(pid)
        return real(host, pid)

    monkeypatch.setattr(following, "read_stat", counted)
    return read


def test_children_and_their_children_are_found_and_the_ended_go(tree: ProcTree) -> None:
    followed = Followed(Pids([40]), tree)
    followed.look()
    tree.process(39, ppid=60, starttime=3000)  # ids are no order
    tree.process(60, ppid=40, starttime=2000)
    tree.process(61, ppid=50, starttime=2000)
    followed.look()
    assert followed.members == {40: 1000, 60: 2000, 39: 3000}
    tree.gone(60)
    followed.look()
    assert followed.members == {40: 1000, 39: 3000}


def test_a_pid_that_came_again_and_a_zombie_are_no_targets(tree: ProcTree) -> None:
    tree.process(41, ppid=40)
    followed = Followed(Pids([40]), tree)
    tree.process(40, starttime=2000)
    tree.process(41, ppid=40, state="Z")
    followed.look()
    assert followed.members == {}
    assert not followed.targets.alive()


def test_who_is_forked_during_a_look_stays(tree: ProcTree) -> None:
    followed = Followed(Pids([40]), tree)
    change = followed.looking.look()
    followed.targets.forked(40, 60)
    followed.targets.changed(change.came, change.gone, change.cpu_ticks)
    assert followed.members == {40: 1000, 60: UNREAD}


def test_a_target_that_is_another_process_by_now_is_not_taken_for_the_one_that_ended(
    tree: ProcTree,
) -> None:
    followed = Followed(Pids([40]), tree)
    tree.gone(40)
    change = followed.looking.look()
    assert change.gone == {40: 1000}
    followed.targets.changed({40: 5000}, {}, None)
    followed.targets.exited(40)
    followed.targets.changed({40: 5000}, {}, None)
    followed.targets.changed({}, change.gone, None)
    assert followed.members == {40: 5000}


def test_a_look_reads_what_is_new_and_some_of_the_old_in_turn(
    tree: ProcTree, reads: list[int]
) -> None:
    many = range(1000, 1000 + 3 * IN_TURN)
    for pid in many:
        tree.process(pid, ppid=40)
    followed = Followed(Pids([40]), tree)
    followed.look()
    reads.clear()
    tree.process(5000, ppid=40)
    followed.look()
    assert 5000 in reads
    assert len(reads) == 1 + IN_TURN
    for _ in range(3):
        followed.look()
    assert sorted(reads) == [40, *many, 5000]


def test_one_of_many_that_is_another_process_is_found_within_a_turn(tree: ProcTree) -> None:
    many = range(1000, 1000 + 2 * IN_TURN)
    for pid in many:
        tree.process(pid, ppid=40)
    followed = Followed(Pids([40]), tree)
    followed.look()
    tree.process(1100, ppid=1, starttime=9000)
    for _ in range(4):
        followed.look()
    assert 1100 not in followed.members
    assert len(followed.members) == 2 * IN_TURN


def test_cpu_time_of_targets_that_ended_stays_counted(tree: ProcTree) -> None:
    tree.process(41, ppid=40)  # each has used 3 ticks (proc_tree.STAT)
    followed = Followed(Pids([40]), tree)
    followed.look()
    tick_ns = 1_000_000_000 // tree.host.sysconf("SC_CLK_TCK")
    assert followed.targets.cpu_ns() == 6 * tick_ns
    tree.gone(41)
    tree.process(42, ppid=40)
    followed.look()
    followed.look()
    assert followed.targets.cpu_ns() == 9 * tick_ns


def test_cpu_time_of_few_targets_is_as_of_now_of_many_as_of_the_last_look(
    tree: ProcTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed = Followed(Pids([40]), tree)
    followed.look()
    tick_ns = 1_000_000_000 // tree.host.sysconf("SC_CLK_TCK")
    assert followed.targets.cpu_ns() == 3 * tick_ns
    stat = tree.root / "proc/40/stat"
    stat.write_text(stat.read_text().replace(" 0 0 0 1 2 0 ", " 0 0 0 7 2 0 "))
    assert followed.targets.cpu_ns() == 9 * tick_ns
    monkeypatch.setattr("pghot.linux.processes.targets.READ_AT_ONCE", 0)
    assert followed.targets.cpu_ns() == 3 * tick_ns


def test_who_moves_into_a_control_group_or_out_of_it_is_found(
    tree: ProcTree, reads: list[int]
) -> None:
    group = tree.root / "sys/fs/cgroup/web"
    group.mkdir(parents=True)
    (group.parent / "cgroup.controllers").write_text("cpu memory\n")
    (group / "cgroup.procs").write_text("40\n")
    followed = Followed(Cgroup("/web"), tree)
    (group / "cgroup.procs").write_text("50\n4711\n")
    assert followed.look() == Change({50: 1000}, {40: 1000})
    assert followed.members == {50: 1000}
    assert sorted(reads) == [50, 4711]
    (group / "cgroup.procs").unlink()
    followed.look()
    assert followed.members == {}


def test_where_every_process_is_a_target_nothing_is_read(tree: ProcTree, reads: list[int]) -> None:
    assert Followed(Everything(), tree).look() == Change()
    assert reads == []


@pytest.fixture
def forked(tree: ProcTree, monkeypatch: pytest.MonkeyPatch) -> Targets:
    """Targets of which 60 was followed from its fork on, and no file can be read."""
    followed = Followed(Pids([40]), tree)
    followed.targets.forked(40, 60)
    monkeypatch.setattr(tree.host, "text", None)
    return followed.targets


def test_forks_and_exits_of_those_who_are_followed_from_the_start_read_no_file(
    forked: Targets,
) -> None:
    forked.forked(60, 61)
    forked.forked(60, 60)  # a thread
    forked.exited(60)
    assert set(forked.members) == {40, 60, 61}
    forked.exited(60)
    forked.exited(61)
    assert set(forked.members) == {40}


def test_a_child_that_perf_has_no_name_for_is_no_target(forked: Targets) -> None:
    assert not forked.forked(60, 0)
    assert not forked.forked(60, -1)
    assert set(forked.members) == {40, 60}


def test_threads_that_end_together_end_their_process(forked: Targets) -> None:
    for _ in range(3):
        forked.forked(60, 60)
    forked.exited(60, 4)
    assert set(forked.members) == {40}


def test_once_forks_were_lost_an_exit_is_looked_up(tree: ProcTree) -> None:
    targets = Followed(Pids([40]), tree).targets
    targets.forked(40, 60)
    targets.lost()  # the fork of a thread, perhaps
    tree.process(60, ppid=40, starttime=2000)
    targets.exited(60)
    assert targets.members == {40: 1000, 60: UNREAD}
    tree.gone(60)
    targets.exited(60)
    assert targets.members == {40: 1000}


def test_a_starttime_is_read_when_it_is_asked_for_and_no_process_has_that_of_an_ended_one(
    tree: ProcTree,
) -> None:
    targets = Followed(Pids([40]), tree).targets
    targets.forked(40, 60)
    targets.forked(40, 61)
    tree.process(60, ppid=40, starttime=2000)
    assert (targets.starttime(60), targets.starttime(61), targets.starttime(62)) == (
        2000,
        UNREAD,
        0,
    )
    assert targets.members[60] == 2000


@given(
    held=st.sets(st.integers(1, PID_MAX_LIMIT - 1), max_size=20),
    asked=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=50),
)
def test_a_set_of_pids_holds_what_was_put_in_and_nothing_that_is_no_pid(held, asked) -> None:
    pids = PidSet(held)
    found = pids.contains(np.array(asked + sorted(held), np.int32)).tolist()
    assert found == [pid in held for pid in asked + sorted(held)]
    for pid in held:
        pids.discard(pid)
    assert not pids.contains(np.array(sorted(held), np.int32)).any()


@pytest.mark.parametrize("pid", [0, -1, PID_MAX_LIMIT])
def test_what_can_be_no_pid_is_refused(pid: int) -> None:
    with pytest.raises(ValueError, match="is no pid"):
        PidSet([pid])
