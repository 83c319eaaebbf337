"""Pids of one pid namespace are never taken for those of another, nor times, nor rights."""

from __future__ import annotations

from pathlib import Path

import pytest

from pghot.errors import InputError, PghotError
from pghot.linux.doctor.doctor import diagnose
from pghot.linux.host import Host
from pghot.linux.processes.namespaces import check_namespaces, in_first, own_pids_note
from pghot.linux.processes.targets import Cgroup, Everything, Pids
from pghot.live.options import LiveOptions
from pghot.live.session import open_session
from tests.linux import host_trees as trees
from tests.linux.proc_tree import ProcTree

FIRST = {"pid": 4026531836, "user": 4026531837, "time": 4026531834}
"""What `ls -l /proc/self/ns` shows on any host, outside of containers."""


class Namespaced(ProcTree):
    """A /proc that pghot sees as one pid in each namespace, its own the last."""

    def __init__(self, root: Path, *pids: int, **namespaces: int) -> None:
        super().__init__(root)
        self.process(1, ppid=0, comm="systemd")
        seen_by(root, *pids, **namespaces)

    def inner(self, pid: int, *pids: int, comm: str = "server", flags: int = 4194304) -> None:
        """A process of a namespace below, with its pid in each."""
        self.process(pid, comm=comm, flags=flags)
        status = self.root / f"proc/{pid}/status"
        with status.open("a") as file:
            file.write(f"NSpid:\t{pid}\t" + "\t".join(map(str, pids)) + "\n")


def seen_by(root: Path, *pids: int, **namespaces: int) -> None:
    ours = root / "proc/self"
    (ours / "ns").mkdir(parents=True, exist_ok=True)
    with (ours / "status").open("a") as file:
        file.write("\nNSpid:\t" + "\t".join(map(str, pids)) + "\n")
    for kind, inode in (FIRST | namespaces).items():
        (ours / "ns" / kind).symlink_to(f"{kind}:[{inode}]")


def refusal(host: Host) -> str:
    with pytest.raises(PghotError) as raised:
        check_namespaces(host)
    (line,) = str(raised.value).splitlines()
    return line


def test_on_a_host_and_where_nothing_is_told_nothing_is_refused(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 4711)
    check_namespaces(tree.host)
    assert own_pids_note(tree.host) == ""
    check_namespaces(Host(tmp_path / "nothing"))
    assert in_first(Host(tmp_path / "nothing"), "pid")


def test_a_proc_of_the_host_in_a_container_with_pids_of_its_own_is_refused(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 4711, 7, pid=4026532500)
    assert refusal(tree.host).startswith(
        "/proc is of another pid namespace: pghot is 4711 there and 7 here; mount one of this"
    )


def test_a_proc_in_which_we_are_not_is_refused(tmp_path: Path) -> None:
    tree = ProcTree(tmp_path)
    tree.process(1, ppid=0)
    (tmp_path / "proc/self").rmdir()
    assert refusal(tree.host).startswith("/proc/self: leads nowhere")


def test_in_a_pid_namespace_of_its_own_with_its_own_proc_a_run_is_told_what_it_sees(
    tmp_path: Path,
) -> None:
    tree = Namespaced(tmp_path, 7, pid=4026532500)
    check_namespaces(tree.host)
    everything = Everything()
    everything.resolve(tree.host)
    assert [note.split(":")[0] for note in everything.notes] == ["in a pid namespace of its own"]


def test_a_user_namespace_is_refused_whatever_its_capabilities(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 4711, user=4026532600)
    assert refusal(tree.host).startswith("/proc/self/ns/user: a user namespace, whose root sees")


@pytest.mark.parametrize(
    ("offsets", "shift"),
    [
        ("monotonic 86400 500\nboottime 0 0", "86400 s and 500 ns"),
        ("monotonic           0         0\nboottime        3600         0", ""),
        ("", ""),
    ],
    ids=["shifted", "boot time alone", "not told"],
)
def test_a_time_namespace_is_refused_where_it_shifts_the_clock_of_samples(
    tmp_path: Path, offsets: str, shift: str
) -> None:
    tree = Namespaced(tmp_path, 4711, time=4026532700)
    (tmp_path / "proc/self/timens_offsets").write_text(offsets)
    if shift:
        assert f"CLOCK_MONOTONIC is {shift} from the host's" in refusal(tree.host)
    else:
        check_namespaces(tree.host)


def named(tree: ProcTree, pid: int) -> str:
    with pytest.raises(InputError) as raised:
        Pids([pid]).resolve(tree.host)
    return str(raised.value)


def test_a_process_of_a_namespace_below_is_watched_by_its_pid_here(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 4711)
    tree.inner(900, 7)
    targets = Pids([900])
    targets.resolve(tree.host)
    assert dict(targets.members) == {900: 1000}


def test_a_pid_that_only_a_container_has_is_refused_with_the_pid_here(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 4711)
    tree.inner(900, 7, comm="redis-server")
    tree.inner(901, 12, 7, comm="nginx")
    assert named(tree, 7) == (
        "-p 7: no such process; in another pid namespace 7 is what is 900 (redis-server), "
        "901 (nginx) here"
    )
    assert named(tree, 8) == "-p 8: no such process"


def test_a_containers_pid_that_is_a_kernel_thread_here_is_refused_with_the_pid_here(
    tmp_path: Path,
) -> None:
    tree = Namespaced(tmp_path, 4711)
    tree.process(7, comm="kworker/0:0", flags=0x00200000)
    tree.inner(900, 7)
    assert named(tree, 7).endswith(
        "no memory of its own; in another pid namespace 7 is what is 900 (server) here"
    )


def group(root: Path, pids: str) -> Cgroup:
    directory = root / "sys/fs/cgroup/web"
    directory.mkdir(parents=True)
    (directory.parent / "cgroup.controllers").write_text("memory\n")
    (directory / "cgroup.procs").write_text(pids)
    return Cgroup("web")


def test_a_group_of_processes_outside_of_our_pid_namespace_is_refused(tmp_path: Path) -> None:
    tree = Namespaced(tmp_path, 7, pid=4026532500)
    targets = group(tmp_path, "0\n0\n")
    with pytest.raises(InputError, match=r"^-G web: has processes outside of this pid namespace"):
        targets.resolve(tree.host)


def test_of_a_group_that_is_in_two_pid_namespaces_ours_are_watched_and_that_is_told(
    tmp_path: Path,
) -> None:
    tree = Namespaced(tmp_path, 7, pid=4026532500)
    tree.process(40)
    targets = group(tmp_path, "0\n40\n")
    targets.resolve(tree.host)
    assert list(targets.members) == [40]
    assert targets.notes == [
        "/sys/fs/cgroup/web: has processes outside of this pid namespace, which are not watched"
    ]


@pytest.mark.parametrize("pids", [(4711, 7), (4711,)], ids=["another's proc", "a user namespace"])
def test_the_doctor_says_what_a_run_says(tmp_path: Path, pids: tuple[int, ...]) -> None:
    host = trees.host(trees.two_tier, tmp_path)
    seen_by(host.root, *pids, user=FIRST["user"] + (len(pids) == 1))
    diagnosis = diagnose(host)
    assert diagnosis.first_missing is not None
    assert not diagnosis.can_run
    with (
        pytest.raises(PghotError) as raised,
        open_session(host, LiveOptions(everything=True)),
    ):
        pass
    assert diagnosis.first_missing.detail == str(raised.value)
