"""Control groups by presence: version 2, version 1's memory tree, or the two mixed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.linux.processes import cgroups
from pghot.linux.processes.cgroups import cgroup_inodes, cgroup_pids, cgroup_root, find_cgroup
from pghot.linux.processes.targets import Cgroup

GROUPS = {"": "1\n", "web": "", "web/front": "41\n40\n", "web/back": "42\n0\n", "webber": "50\n"}


def mounted(root: Path, mount: str, controllers: str | None) -> Host:
    """A host with the groups of GROUPS below `mount`."""
    for name, pids in GROUPS.items():
        directory = root / "sys/fs/cgroup" / mount / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cgroup.procs").write_text(pids)
        if controllers is not None:
            (directory / "cgroup.controllers").write_text(controllers)
    return Host(root)


V2, V1, HYBRID = ("", "cpu memory pids\n"), ("memory", None), ("unified", "\n")
EVERY = pytest.mark.parametrize("kind", [V2, V1, HYBRID], ids=["v2", "v1", "hybrid"])


@EVERY
def test_a_group_is_found_below_its_root(tmp_path: Path, kind: tuple[str, str | None]) -> None:
    host = mounted(tmp_path, *kind)
    root = cgroup_root(host)
    assert root == f"/sys/fs/cgroup/{kind[0]}".rstrip("/")
    for name in ("web/front", "/web/front", "/web/front/", f"{root}/web/front"):
        assert find_cgroup(host, name) == f"{root}/web/front"
    assert find_cgroup(host, "/") == root


def test_where_version_1_has_the_memory_controller_its_tree_is_taken(tmp_path: Path) -> None:
    mounted(tmp_path, *HYBRID)
    assert cgroup_root(mounted(tmp_path, *V1)) == "/sys/fs/cgroup/memory"


def test_processes_are_those_of_the_group_and_all_below(tmp_path: Path) -> None:
    host = mounted(tmp_path, *V2)
    assert cgroup_pids(host, "/sys/fs/cgroup/web") == [40, 41, 42]
    assert cgroup_pids(host, "/sys/fs/cgroup/gone") == []


@pytest.mark.parametrize("name", ["wob", "web/../webber", "../../proc", "web/cgroup.procs"])
def test_what_is_no_group_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    host = mounted(tmp_path, *V2)
    with pytest.raises(InputError) as raised:
        find_cgroup(host, name)
    assert str(raised.value) == f"-G {name}: no such control group below /sys/fs/cgroup"


def test_without_a_mount_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no control groups are mounted"):
        cgroup_root(Host(tmp_path))


@EVERY
def test_groups_are_known_by_inode(tmp_path: Path, kind: tuple[str, str | None]) -> None:
    host = mounted(tmp_path, *kind)
    base = tmp_path / "sys/fs/cgroup" / kind[0]
    assert cgroup_inodes(host) == {(base / name).stat().st_ino: f"/{name}" for name in GROUPS}


def test_groups_one_below_another_are_followed_as_deep_as_a_path_goes(tmp_path: Path) -> None:
    """Whoever a group is delegated to may nest 1,100 of them."""
    host = mounted(tmp_path, *V2)
    deep = tmp_path / "sys/fs/cgroup/web" / "/".join(["d"] * 1_100)
    subprocess.run(["mkdir", "-p", deep], check=True)
    (deep / "cgroup.procs").write_text("77\n")
    try:
        assert cgroup_pids(host, "/sys/fs/cgroup/web") == [40, 41, 42, 77]
        assert len(cgroup_inodes(host)) == len(GROUPS) + 1_100
    finally:  # pytest would go down it by recursion
        subprocess.run(["rm", "-rf", tmp_path / "sys/fs/cgroup/web/d"], check=True)


def test_more_groups_than_are_looked_at_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = mounted(tmp_path, *V2)
    monkeypatch.setattr(cgroups, "MOST", 3)
    told: list[str] = []
    assert len(cgroup_inodes(host, told.append)) == 3
    assert told == ["/sys/fs/cgroup: over 3 control groups; those beyond are not looked at"]
    targets = Cgroup("/")
    targets.resolve(host)
    assert targets.notes[0] == told[0]
