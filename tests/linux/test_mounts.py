"""Only what a run has mounted and written down is unmounted, by descriptor, no link followed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.linux.guard.mounts import clear_dead_mounts, dead_mounts
from pghot.linux.host import Host

ROOT = Path(__file__).parents[2]
LINE = "9 1 0:9 / {point} rw - {kind} pghot rw,user_id={user},group_id=0\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    def statvfs(_path: object) -> None:
        raise OSError(107, "Transport endpoint is not connected")

    monkeypatch.setattr(os, "statvfs", statvfs)
    (tmp_path / "host/proc/self").mkdir(parents=True)
    return Host(tmp_path / "host")


def mounted(host: Host, *points: str, kind: str = "fuse.pghot", user: int | None = None) -> None:
    user = os.geteuid() if user is None else user
    host.path("/proc/self/mountinfo").write_text(
        "".join(LINE.format(point=point, kind=kind, user=user) for point in points)
    )


def written(state: Path, point: str, device: str = "0:9", pid: int = 1 << 30) -> Path:
    path = state / f"mount-{pid}"
    path.write_text(json.dumps({"point": point, "device": device}))
    return path


def test_a_mount_that_is_written_down_and_dead_is_found(host: Host, state: Path) -> None:
    mounted(host, "/mnt/other", r"/mnt/a\040tree")
    written(state, "/mnt/a tree")
    assert dead_mounts(host, state) == ["/mnt/a tree"]


def test_a_mount_that_is_not_written_down_is_nobodys_to_unmount(host: Host, state: Path) -> None:
    """Any user may mount a file system of this type with fusermount3."""
    mounted(host, "/mnt/tree")
    assert dead_mounts(host, state) == []
    assert clear_dead_mounts(host, state) == ([], {})


@pytest.mark.parametrize(
    "other", [{"kind": "fuse.sshfs"}, {"user": 4711}, {"device": "0:10"}], ids=str
)
def test_another_mount_at_the_same_place_is_left_and_forgotten(
    host: Host, state: Path, other: dict
) -> None:
    device = other.pop("device", "0:9")
    mounted(host, "/mnt/tree", **other)
    path = written(state, "/mnt/tree", device)
    assert dead_mounts(host, state) == []
    assert not path.exists()


def test_one_that_was_killed_as_it_mounted_is_known_by_its_place(host: Host, state: Path) -> None:
    mounted(host, "/mnt/tree")
    written(state, "/mnt/tree", "")
    assert dead_mounts(host, state) == ["/mnt/tree"]


def test_what_a_run_is_about_to_mount_is_not_forgotten(host: Host, state: Path) -> None:
    mounted(host)
    path = written(state, "/mnt/tree", "", os.getpid())
    assert dead_mounts(host, state) == []
    assert path.exists()


def test_what_is_written_in_another_form_counts_for_nothing(host: Host, state: Path) -> None:
    mounted(host, "/mnt/tree")
    for number, text in enumerate(["", "[]", "{", '{"point": "/mnt/tree"}', "[" * 9000]):
        (state / f"mount-{(1 << 30) + number}").write_text(text)
    assert dead_mounts(host, state) == []


SCRIPT = """
import subprocess, sys
from pathlib import Path
from pghot.linux.guard import mounts
from pghot.linux.host import Host
place = Path(sys.argv[1])
(place / "tree").mkdir()
(place / "other").mkdir()
(place / "link").symlink_to("tree")
for name in ("tree", "other"):
    subprocess.run(["mount", "-t", "tmpfs", "none", place / name], check=True)
ours = [mount for mount in mounts._mounts(Host()) if mount.point == str(place / "tree")]
mounts._ours = lambda _: ours
for name in ("link", "other", "gone"):
    try:
        mounts.unmount(Host(), str(place / name))
    except OSError as error:
        print(name, error.strerror)
there = lambda: [m.point.rpartition("/")[2] for m in mounts._mounts(Host())
                 if m.point.startswith(str(place))]
print(there())
held = (place / "tree/file").open("w")
mounts.unmount(Host(), str(place / "tree"))
print(there())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for mounts of its own")
def test_the_kernel_unmounts_that_very_mount_and_follows_no_link(tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", SCRIPT, tmp_path],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mounts here")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "link Not a directory",
        "other no mount of ours is there",
        "gone No such file or directory",
        "['tree', 'other']",
        "['other']",
    ]
