"""The series' files over a run, through the kernel: what a shell sees is what a kernel with the
series would show."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pghot.engine.fidelity import V8
from pghot.engine.layout import PRECISE
from pghot.errors import InputError, PghotError
from pghot.linux.guard.mounts import clear_dead_mounts, dead_mounts, end_mount
from pghot.linux.host import Host
from pghot.live.mailbox import Mailbox
from pghot.serving import mount, tree
from pghot.serving.mount import mounted
from pghot.serving.tree import Tree
from tests.published import published_state
from tests.serving.rig import DeskRun, answering, fuse_is_missing, mounts_at, within

needs_fuse = pytest.mark.skipif(bool(fuse_is_missing()), reason=f"FUSE: {fuse_is_missing()}")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root")
pytestmark = needs_fuse

SERIES_FILES = {
    "debug/pghot/enabled_sources": "3\n",
    "debug/pghot/target_nid": "0\n",
    "debug/pghot/freq_threshold": "2\n",
    "debug/pghot/kmigrated_sleep_ms": "100\n",
    "debug/pghot/kmigrated_batch_nr": "512\n",
    "sys/vm/pghot_promote_freq_window_ms": "3000\n",
    "sys/vm/pghot_promote_rate_limit_MBps": "65536\n",
    "sys/vm/numa_balancing_promote_rate_limit_MBps": "65536\n",
}


@pytest.fixture
def run() -> Iterator[DeskRun]:
    with answering() as run:
        yield run


@pytest.fixture
def files(run: DeskRun, tmp_path: Path) -> Iterator[Path]:
    """The tree of a run, mounted."""
    directory = tmp_path / "tree"
    directory.mkdir()
    with mounted(run.mailbox, directory, end_mount):
        yield directory
    assert mounts_at(directory) == []


def sh(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        within(cwd, "sh", "-c", script), capture_output=True, text=True, check=False
    )


def refused(script: str, cwd: Path, why: int) -> bool:
    """Whether a script fails for this reason.  A shell's own echo need not tell the errno."""
    script = script.replace("echo ", "env echo ")
    done = sh(script, cwd)
    return done.returncode != 0 and os.strerror(why) in done.stderr


def test_every_file_of_the_series_is_there_and_reads_as_its_default(files):
    found = {
        str(path.relative_to(files)): path.read_text()
        for path in files.rglob("*")
        if path.is_file()
    }
    vmstat = found.pop("vmstat")
    assert found == SERIES_FILES
    assert vmstat.splitlines()[0] == "pghot_recorded_accesses 0"
    assert all(line.split(" ")[1].isdecimal() for line in vmstat.splitlines())


def test_precision_mode_has_its_own_window_and_threshold(tmp_path):
    with answering(PRECISE) as run, mounted(run.mailbox, tmp_path, end_mount):
        assert (tmp_path / "sys/vm/pghot_promote_freq_window_ms").read_text() == "5000\n"
        assert sh("echo 7 > debug/pghot/freq_threshold", tmp_path).returncode == 0
        assert refused("echo 8 > debug/pghot/freq_threshold", tmp_path, errno.EINVAL)


# R12.5
def test_a_run_by_v8_has_v8s_files(tmp_path):
    with answering(fidelity=V8) as run, mounted(run.mailbox, tmp_path, end_mount, fidelity=V8):
        found = {
            str(path.relative_to(tmp_path)): path.read_text()
            for path in tmp_path.rglob("*")
            if path.is_file() and path.name != "vmstat"
        }
        assert found == {
            "debug/pghot/kmigrated_sleep_ms": "100\n",
            "debug/pghot/kmigrated_batch_nr": "512\n",
            "sys/vm/pghot_enabled_sources": "3\n",
            "sys/vm/pghot_target_nid": "0\n",
            "sys/vm/pghot_freq_threshold": "2\n",
            "sys/vm/pghot_promote_freq_window_ms": "3000\n",
            "sys/vm/pghot_promote_rate_limit_MBps": "65536\n",
            "sys/kernel/numa_balancing_promote_rate_limit_MBps": "65536\n",
        }
        assert sh("echo 0x3 > sys/vm/pghot_freq_threshold", tmp_path).returncode == 0
        assert run.writes == [("freq_threshold", "0x3\n")]
        assert refused("echo 10 > debug/pghot/kmigrated_sleep_ms", tmp_path, errno.EINVAL)
        assert not (tmp_path / "debug/pghot/freq_threshold").exists()


def test_files_have_the_kernels_modes_and_sizes(files):
    for name in SERIES_FILES:
        status = (files / name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o644
        assert (status.st_size, status.st_uid) == (0, os.geteuid())
    assert stat.S_IMODE((files / "vmstat").stat().st_mode) == 0o444
    assert stat.S_IMODE((files / "debug/pghot").stat().st_mode) == 0o755
    assert (files / "debug").stat().st_nlink == 3


def test_what_is_echoed_is_what_cat_shows_next(files, run):
    done = sh("echo 3 > debug/pghot/freq_threshold && cat debug/pghot/freq_threshold", files)
    assert (done.stdout, done.stderr) == ("3\n", "")
    assert run.writes == [("freq_threshold", "3\n")]
    assert run.rig.engine.tunables["freq_threshold"] == 3


@pytest.mark.parametrize(
    ("name", "text", "shows"),
    [
        ("debug/pghot/enabled_sources", "0x2", "2"),
        ("debug/pghot/enabled_sources", "01", "1"),
        ("debug/pghot/target_nid", "+2", "2"),
        ("debug/pghot/kmigrated_sleep_ms", "0x40", "64"),
        ("sys/vm/pghot_promote_freq_window_ms", "  0x10 ", "16"),
        ("sys/vm/pghot_promote_freq_window_ms", "17 18", "17"),
        ("sys/vm/pghot_promote_rate_limit_MBps", "-0", "0"),
    ],
)
def test_numbers_are_read_as_the_kernel_reads_them(files, name, text, shows):
    assert sh(f"echo '{text}' > {name}", files).stderr == ""
    assert (files / name).read_text() == f"{shows}\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("debug/pghot/enabled_sources", "4"),
        ("debug/pghot/target_nid", "1"),  # not top tier
        ("debug/pghot/target_nid", "9"),  # not there
        ("debug/pghot/target_nid", "0x2"),
        ("debug/pghot/freq_threshold", "0"),
        ("debug/pghot/freq_threshold", "4"),
        ("debug/pghot/freq_threshold", " 2"),
        ("debug/pghot/freq_threshold", ""),
        ("debug/pghot/kmigrated_batch_nr", "many"),
        ("sys/vm/pghot_promote_freq_window_ms", "-1"),
        ("sys/vm/pghot_promote_rate_limit_MBps", "2147483648"),
    ],
)
def test_a_bad_value_is_einval_and_changes_nothing(files, name, text):
    before = (files / name).read_text()
    assert refused(f"echo '{text}' > {name}", files, errno.EINVAL)
    assert (files / name).read_text() == before


def test_the_rate_limit_has_two_names(files):
    sh("echo 10 > sys/vm/numa_balancing_promote_rate_limit_MBps", files)
    assert (files / "sys/vm/pghot_promote_rate_limit_MBps").read_text() == "10\n"


def test_a_debugfs_write_takes_fifteen_bytes_and_the_shell_comes_again_with_the_rest(files, run):
    assert sh("echo 0000000000000002 > debug/pghot/target_nid", files).returncode == 0
    assert run.writes == [("target_nid", "0" * 15), ("target_nid", "2\n")]
    assert (files / "debug/pghot/target_nid").read_text() == "2\n"


def test_a_sysctl_is_read_and_written_at_its_start_only(files):
    name = files / "sys/vm/pghot_promote_freq_window_ms"
    sh("(printf 20; printf 00) > sys/vm/pghot_promote_freq_window_ms", files)
    assert name.read_text() == "20\n"
    done = sh("dd bs=1 status=none < sys/vm/pghot_promote_freq_window_ms", files)
    assert done.stdout == "2"


def test_a_debugfs_file_is_read_in_pieces_of_one_moment(files, run):
    descriptor = os.open(files / "debug/pghot/kmigrated_batch_nr", os.O_RDONLY)
    first = os.read(descriptor, 1)
    run.mailbox.write("kmigrated_batch_nr", "9")
    assert first + os.read(descriptor, 10) == b"512\n"
    assert os.pread(descriptor, 10, 0) == b"9\n"
    os.close(descriptor)


def test_truncating_and_touching_is_accepted_and_changes_nothing(files):
    assert (
        sh(": > debug/pghot/freq_threshold; touch debug/pghot/freq_threshold", files).stderr == ""
    )
    assert (files / "debug/pghot/freq_threshold").read_text() == "2\n"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("touch debug/pghot/new", errno.EACCES),
        ("mkdir debug/new", errno.EPERM),
        ("rm debug/pghot/target_nid", errno.EPERM),
        ("mv vmstat other", errno.EPERM),
        ("chmod 666 vmstat", errno.EPERM),
        ("cat debug/pghot/none", errno.ENOENT),
        ("cat debug/pghot", errno.EISDIR),
    ],
)
def test_the_trees_shape_is_fixed(files, script, why):
    assert refused(script, files, why)


@as_root
def test_other_users_may_read_and_not_write(run):
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv (util-linux)")
    nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        files = Path(name)
        files.chmod(0o755)
        with mounted(run.mailbox, files, end_mount):
            assert sh(f"{nobody} cat debug/pghot/target_nid", files).stdout == "0\n"
            write = f"{nobody} sh -c 'echo 2 > debug/pghot/target_nid'"
            assert "Permission denied" in sh(write, files).stderr
            assert refused("echo 0 > vmstat", files, errno.EIO)
    assert run.writes == []


# The commands of mm/pghot.rst (patch 3), as they stand there.
DOCUMENTED = [
    ("echo 0x3 > /sys/kernel/debug/pghot/enabled_sources", "enabled_sources", 3),
    ("echo 1 > /sys/kernel/debug/pghot/target_nid", "target_nid", 1),
    ("echo 3 > /sys/kernel/debug/pghot/freq_threshold", "freq_threshold", 3),
    ("sysctl vm.pghot_promote_freq_window_ms=3000", "pghot_promote_freq_window_ms", 3000),
]
IN_PLACE = """
mount --bind debug /sys/kernel/debug
mount --bind sys/vm /proc/sys/vm
mount --bind vmstat /proc/vmstat
"""


def in_place(script: str, files: Path) -> subprocess.CompletedProcess[str]:
    """Run a script where the tree lies over the kernel's own paths, for it alone."""
    return subprocess.run(
        within(files, "unshare", "-m", "sh", "-ec", IN_PLACE + script),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def privately(files: Path) -> Path:
    for program, package in (("unshare", "util-linux"), ("sysctl", "procps")):
        if not shutil.which(program):
            pytest.skip(f"no {program} ({package})")
    if not Path("/sys/kernel/debug").is_dir():
        pytest.skip("no /sys/kernel/debug")
    done = in_place("", files)
    if done.returncode:
        pytest.skip(f"no mounts of one's own: {done.stderr.strip()}")
    return files


@pytest.mark.parametrize(("command", "name", "value"), DOCUMENTED)
def test_the_series_documentation_works_word_for_word(privately, run, command, name, value):
    if name == "target_nid":  # its example takes node 1 for top tier: ours is node 2
        command, value = command.replace("echo 1", "echo 2"), 2
    if name == "pghot_promote_freq_window_ms":
        run.mailbox.write(name, "17")
    done = in_place(command, privately)
    assert (done.returncode, done.stderr) == (0, "")
    assert run.rig.engine.tunables[name] == value


def test_the_documented_paths_and_counters_are_readable(privately, run):
    run.rig.touch(run.rig.memory.nodes()[0] + 9 * 32768, now=10)
    run.publish()
    script = "cat /proc/sys/vm/pghot_promote_freq_window_ms; grep ^pghot_recorded /proc/vmstat"
    done = in_place(f"{script}; sysctl -n vm.pghot_promote_rate_limit_MBps", privately)
    assert done.stdout.splitlines() == [
        "3000",
        "pghot_recorded_accesses 1",
        "pghot_recorded_hintfaults 0",
        "pghot_recorded_hwhints 1",
        "65536",
    ]


# Coming and going.


def test_the_working_directory_stays_while_a_tree_is_mounted(tmp_path, monkeypatch):
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path)
    with mounted(Mailbox(), Path("tree"), end_mount):
        assert Path.cwd() == tmp_path
        assert mounts_at(tmp_path / "tree")
    assert mounts_at(tmp_path / "tree") == []


def test_a_write_after_the_end_of_the_run_is_an_io_error(tmp_path):
    mailbox = Mailbox()
    mailbox.publish(published_state(tunables={"target_nid": 0}))
    mailbox.close()
    with mounted(mailbox, tmp_path, end_mount):
        assert (tmp_path / "debug/pghot/target_nid").read_text() == "0\n"
        assert refused("echo 2 > debug/pghot/target_nid", tmp_path, errno.EIO)


def test_a_read_before_the_first_state_waits_for_it(tmp_path):
    mailbox = Mailbox()
    with mounted(mailbox, tmp_path, end_mount):
        first = published_state(tunables={"target_nid": 2})
        late = threading.Timer(0.2, mailbox.publish, [first])
        late.start()
        assert (tmp_path / "debug/pghot/target_nid").read_text() == "2\n"


def test_a_read_of_a_run_that_never_started_says_so(monkeypatch):
    monkeypatch.setattr(tree, "PATIENCE_S", 0.01)
    mailbox = Mailbox()
    with pytest.raises(OSError, match="vmstat") as timed_out:
        Tree(mailbox).read("/vmstat", 10, 0, 1)
    mailbox.close()
    with pytest.raises(OSError, match="vmstat") as over:
        Tree(mailbox).read("/vmstat", 10, 0, 1)
    assert (timed_out.value.errno, over.value.errno) == (errno.ETIMEDOUT, errno.EIO)


def test_the_mount_goes_after_an_error_and_under_an_open_file(run, tmp_path):
    def fails():
        with mounted(run.mailbox, tmp_path, end_mount):
            descriptors.append(os.open(tmp_path / "vmstat", os.O_RDONLY))
            raise RuntimeError("in the middle")

    descriptors: list[int] = []
    with pytest.raises(RuntimeError, match="in the middle"):
        fails()
    assert mounts_at(tmp_path) == []
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        os.read(descriptors[0], 1)
    with contextlib.suppress(OSError):
        os.close(descriptors[0])


def test_a_mount_that_somebody_took_away_is_no_error(run, tmp_path):
    with mounted(run.mailbox, tmp_path, end_mount):
        end_mount(str(tmp_path))
        time.sleep(0.2)
    assert mounts_at(tmp_path) == []


@pytest.mark.parametrize("what", ["missing", "a file", "not empty"])
def test_a_directory_that_does_not_do_is_named_in_one_line(tmp_path, what):
    directory = tmp_path / "there"
    if what == "a file":
        directory.touch()
    if what == "not empty":
        (directory / "something").mkdir(parents=True)
    with (
        pytest.raises(InputError, match=f"--mount {directory}: "),
        mounted(Mailbox(), directory, end_mount),
    ):
        pass


def test_without_a_fuse_device_the_line_says_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mount, "DEVICE", tmp_path / "fuse")
    with pytest.raises(PghotError, match="modprobe fuse"), mounted(Mailbox(), tmp_path, end_mount):
        pass


KILLED = """
import sys, time
from pathlib import Path
from pghot.linux.host import Host
from pghot.linux.guard.mounts import end_mount, written_down
from pghot.live.mailbox import Mailbox
from pghot.serving.mount import mounted
point = Path(sys.argv[1])
with written_down(Host(), point, Path(sys.argv[2])) as record, \\
     mounted(Mailbox(), point, end_mount):
    record.made()
    print("up", flush=True)
    time.sleep(60)
"""


def test_the_mount_of_a_killed_run_is_found_dead_and_taken_away(tmp_path):
    directory, state = tmp_path / "a tree", tmp_path / "state"
    directory.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(directory), str(state)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert str(directory) not in dead_mounts(Host(), state)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert str(directory) in dead_mounts(Host(), state)
    with (
        pytest.raises(InputError, match="pghot restore"),
        mounted(Mailbox(), directory, end_mount),
    ):
        pass
    gone, failed = clear_dead_mounts(Host(), state)
    assert str(directory) in gone
    assert failed == {}
    assert list(directory.iterdir()) == []
