"""Root writes nowhere where another user could put something else under its hands."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.files.directory import UntrustedError, open_directory, read_private
from pghot.files.whole import whole_directory, whole_file
from pghot.log.event_parts import event_parts
from pghot.log.parts import create_parts
from tests.files.others import NOBODY, as_nobody, needs_root, open_the_way

pytestmark = needs_root

SUMMARY = "summary.json"
ETC = "/etc"


def into_file(path: Path) -> None:
    with whole_file(path / "log", force=True) as stream:
        stream.write(b"ours")


def into_directory(path: Path) -> None:
    with whole_directory(path, (SUMMARY,), force=True) as staging:
        staging.create(SUMMARY).write(b"ours")


def into_events(path: Path) -> None:
    with event_parts(path, 1 << 20, force=True):
        pass


def into_parts(path: Path) -> None:
    with create_parts(path / "log", force=True):
        pass


OUTPUTS = pytest.mark.parametrize("write", [into_file, into_directory, into_events, into_parts])


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory that another user owns."""
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    open_the_way(tmp_path)
    return path


def everything(path: Path) -> dict[str, tuple[int, int]]:
    return {str(entry): (entry.lstat().st_mode, entry.lstat().st_uid) for entry in path.rglob("*")}


@OUTPUTS
def test_a_directory_that_another_user_owns_is_refused(write, theirs: Path) -> None:
    victim = theirs.parent / "victim"
    victim.write_text("root's")
    as_nobody(lambda: (theirs / SUMMARY).symlink_to(victim))
    before = everything(theirs)
    with pytest.raises(UntrustedError, match=r"theirs: belongs to nobody, who could swap"):
        write(theirs)
    assert victim.read_text() == "root's"
    assert everything(theirs) == before


@OUTPUTS
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_directory_that_others_may_write_is_refused(write, mode: int, tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(UntrustedError, match=r"open: others may write to it \(mode 07[57][57]\)"):
        write(path)
    assert everything(path) == {}


@OUTPUTS
def test_a_directory_of_roots_below_anothers_is_refused(write, theirs: Path) -> None:
    (theirs / "root").mkdir()
    with pytest.raises(UntrustedError, match=r"theirs: belongs to nobody"):
        write(theirs / "root")


@OUTPUTS
def test_a_link_of_another_user_is_not_followed(write, tmp_path: Path) -> None:
    place = tmp_path / "sticky"
    place.mkdir()
    place.chmod(0o1777)
    open_the_way(tmp_path)
    (tmp_path / "target").mkdir()
    as_nobody(lambda: (place / "way").symlink_to(tmp_path / "target"))
    with pytest.raises(UntrustedError, match=r"way: a symbolic link of nobody, which root does"):
        write(place / "way")
    assert everything(tmp_path / "target") == {}


@OUTPUTS
def test_a_link_of_roots_own_is_followed(write, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "way").symlink_to("disk")
    write(tmp_path / "way")


def test_a_new_directory_below_a_sticky_one_is_roots_alone(tmp_path: Path) -> None:
    place = tmp_path / "sticky"
    place.mkdir()
    place.chmod(0o1777)
    before = os.umask(0)
    try:
        into_directory(place / "out")
        into_events(place / "events")
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((place / "out").stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "out" / SUMMARY).stat().st_mode) == 0o600


def test_a_name_that_another_user_took_in_a_sticky_directory_is_replaced_and_not_written(
    tmp_path: Path,
) -> None:
    place = tmp_path / "sticky"
    place.mkdir()
    place.chmod(0o1777)
    open_the_way(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("root's")
    as_nobody(lambda: (place / "log").symlink_to(victim))
    with pytest.raises(InputError, match="exists already"), whole_file(place / "log"):
        pass
    into_file(place)
    assert victim.read_text() == "root's"
    assert (place / "log").read_text() == "ours"
    assert not (place / "log").is_symlink()


def test_a_directory_that_is_swapped_after_it_was_opened_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    with whole_directory(tmp_path / "out", (SUMMARY,)) as staging:
        staging.create(SUMMARY).write(b"ours")
        (tmp_path / "out").rename(tmp_path / "moved")
        (tmp_path / "out").symlink_to("other")
    assert everything(tmp_path / "other") == {}
    assert (tmp_path / "moved" / SUMMARY).read_bytes() == b"ours"


def test_a_file_whose_hidden_name_is_swapped_gets_no_mode_and_no_byte(tmp_path: Path) -> None:
    """By the descriptor in hand: what now has the name is somebody's own affair."""
    victim = tmp_path / "victim"
    victim.write_text("root's")
    victim.chmod(0o640)
    with whole_file(tmp_path / "log") as stream:
        (hidden,) = tmp_path.glob(".log.*")
        hidden.unlink()
        hidden.symlink_to(victim)
        stream.write(b"ours")
    assert victim.read_text() == "root's"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o640


def test_a_configuration_that_others_could_have_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "pghot.toml"
    path.write_text("all = true\n")
    assert read_private(path) == b"all = true\n"
    path.chmod(0o666)
    with pytest.raises(UntrustedError, match=r"pghot.toml: others may write to it \(mode 0666\)"):
        read_private(path)
    path.chmod(0o644)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(UntrustedError, match=r"pghot.toml: belongs to nobody"):
        read_private(path)


def test_too_many_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        open_directory(tmp_path / "a")


@pytest.mark.parametrize("path", [".", "..", "a/../a", "a/./b"])
def test_relative_ways_are_gone_as_the_kernel_goes_them(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with open_directory(path) as held:
        assert os.path.samestat(os.fstat(held.descriptor), Path(path).stat())


def test_no_descriptor_is_left_over(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for write in (into_file, into_directory, into_events, into_parts):
        write(tmp_path)
        for entry in tmp_path.iterdir():
            entry.unlink()
    with pytest.raises(OSError, match="Not a directory"):
        open_directory("/etc/passwd")
    with pytest.raises(FileNotFoundError):
        open_directory(tmp_path / "nowhere")
    assert count() == before
