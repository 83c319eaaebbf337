"""Host settings come back, whatever happens."""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.errors import PghotError
from pghot.linux.guard import settings_guard as guard_module
from pghot.linux.guard.journal import Journal
from pghot.linux.guard.restoring import Restored
from pghot.linux.guard.settings import NUMA_BALANCING, RATE_LIMIT, SCAN
from pghot.linux.guard.settings_guard import Changed, SettingsGuard, recover
from tests.linux import host_trees as trees
from tests.linux.guarded import CHANGES, FLAG, OLD, KernelHost, made_host, values

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made_host(tmp_path / "host")
    return tmp_path / "host"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def command(root: Path, state: Path, when: object) -> list[str]:
    return [sys.executable, "-m", "tests.linux.guarded", str(root), str(state), str(when)]


def start(root: Path, state: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        command(root, state, "hold"), stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    status = process.wait(90)
    assert process.stdout
    process.stdout.close()
    return status


def change_all(guard: SettingsGuard) -> None:
    for name, value in CHANGES:
        guard.set(name, value)


def journal(state: Path) -> list[str]:
    """The lines of the journal, without the room that was taken for more."""
    return (state / "journal").read_bytes().rstrip(b"\0").decode().splitlines()


def write(root: Path, name: str, value: str) -> None:
    KernelHost(root).write(name, value)


# The ordinary way


def test_settings_are_changed_and_come_back_in_reverse_order(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        assert values(root) == {
            RATE_LIMIT: "0", NUMA_BALANCING: "3", f"{SCAN}/scan_size_mb": "1024", FLAG: "true",
        }  # fmt: skip
    assert values(root) == OLD
    assert guard.recovered is None
    assert guard.restored
    assert list(guard.restored.back.items()) == [*OLD.items()][::-1]
    assert not (state / "journal").exists()


def test_the_old_value_is_on_disk_before_the_new_one_is_written(root: Path, state: Path) -> None:
    seen = []

    class Watching(KernelHost):
        def write(self, name: str, text: str) -> None:
            seen.append(journal(state)[-1])
            super().write(name, text)

    synced = []
    real = os.fsync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: (synced.append(len(seen)), real(fd)))
        with SettingsGuard(Watching(root), state) as guard:
            guard.set(NUMA_BALANCING, "2")
            # The journal's first line, its directory and the change: all before the write.
            assert synced == [0, 0, 0, 1]
    assert json.loads(seen[0]) == {"path": NUMA_BALANCING, "old": "0", "new": "2"}


def test_a_value_that_is_there_already_is_not_written(root: Path, state: Path) -> None:
    before = KernelHost(root).path(NUMA_BALANCING).stat().st_mtime_ns
    with SettingsGuard(KernelHost(root), state) as guard:
        guard.set(NUMA_BALANCING, "0")
        guard.set(FLAG, "0")
        assert not (state / "journal").exists()
        assert KernelHost(root).path(NUMA_BALANCING).stat().st_mtime_ns == before
        write(root, NUMA_BALANCING, "1")
        assert guard.changed_by_others() == [Changed(NUMA_BALANCING, "0", "1")]
    assert values(root) == OLD | {NUMA_BALANCING: "1"}
    assert guard.restored == Restored()


def test_an_error_inside_restores_too(root: Path, state: Path) -> None:
    def fail() -> None:
        with SettingsGuard(KernelHost(root), state) as guard:
            change_all(guard)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert values(root) == OLD


def test_one_can_go_on_after_a_restore(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        guard.restore()
        assert values(root) == OLD
        guard.set(NUMA_BALANCING, "2")
    assert values(root) == OLD


def test_closing_twice_is_harmless(root: Path, state: Path) -> None:
    guard = SettingsGuard(KernelHost(root), state)
    guard.close()
    guard.acquire()
    guard.set(NUMA_BALANCING, "2")
    guard.close()
    write(root, NUMA_BALANCING, "2")
    guard.close()
    assert values(root)[NUMA_BALANCING] == "2"


def test_a_thread_may_restore(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        thread = threading.Thread(target=guard.restore)
        thread.start()
        thread.join()
        assert values(root) == OLD


def test_without_the_lock_nothing_is_changed(root: Path, state: Path) -> None:
    with pytest.raises(RuntimeError, match="holds the lock"):
        SettingsGuard(KernelHost(root), state).set(NUMA_BALANCING, "2")
    assert values(root) == OLD


def test_damon_is_refused(root: Path, state: Path) -> None:
    with (
        SettingsGuard(KernelHost(root), state) as guard,
        pytest.raises(ValueError, match="may be changed"),
    ):
        guard.set("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "1")


def test_a_forked_child_restores_nothing(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        guard.set(NUMA_BALANCING, "2")
        guard_pid, guard._pid = guard._pid, guard._pid + 1
        guard.close()
        assert values(root)[NUMA_BALANCING] == "2"
        guard._pid = guard_pid
    assert values(root) == OLD


def test_the_interpreters_exit_restores_where_nobody_else_did(root: Path, state: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pghot.linux.guard.settings_guard import SettingsGuard\n"
        "from tests.linux.guarded import KernelHost\n"
        "guard = SettingsGuard(KernelHost(sys.argv[1]), Path(sys.argv[2])); guard.acquire()\n"
        "guard.set('/proc/sys/kernel/numa_balancing', '2')\n"
        "print(guard.host.text('/proc/sys/kernel/numa_balancing'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), str(state)],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout == "2\n"
    assert values(root) == OLD


# Values and files that behave oddly


class Clamping(KernelHost):
    """A setting that takes no more than 100."""

    def write(self, name: str, text: str) -> None:
        super().write(name, str(min(int(text), 100)) if name == RATE_LIMIT else text)


def test_a_value_that_the_kernel_made_another_comes_back(root: Path, state: Path) -> None:
    write(root, RATE_LIMIT, "50")
    with SettingsGuard(Clamping(root), state) as guard:
        guard.set(RATE_LIMIT, "500")
        assert values(root)[RATE_LIMIT] == "100"
        assert guard.changed_by_others() == []
    assert values(root)[RATE_LIMIT] == "50"


def test_a_setting_that_is_not_there_cannot_be_set(root: Path, state: Path) -> None:
    trees.remove(root, NUMA_BALANCING)
    with (
        SettingsGuard(KernelHost(root), state) as guard,
        pytest.raises(PghotError) as caught,
    ):
        guard.set(NUMA_BALANCING, "2")
    assert str(caught.value) == (
        f"{NUMA_BALANCING}: cannot be set to 2: No such file or directory"
    )


class Refusing(KernelHost):
    def write(self, *_: str) -> None:
        raise PermissionError(1, "Operation not permitted")


def test_a_refused_write_is_one_line_and_leaves_nothing(root: Path, state: Path) -> None:
    with SettingsGuard(Refusing(root), state) as guard:
        with pytest.raises(PghotError, match=r"cannot be set to 2: Operation not permitted$"):
            guard.set(NUMA_BALANCING, "2")
        assert guard.changed_by_others() == []
    assert guard.restored == Restored()
    assert not (state / "journal").exists()


def test_a_file_that_has_gone_is_told(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        trees.remove(root, f"{SCAN}/scan_size_mb")
        assert guard.changed_by_others() == [Changed(f"{SCAN}/scan_size_mb", "1024", None)]
    assert guard.restored
    assert guard.restored.gone == [f"{SCAN}/scan_size_mb"]
    assert f"{SCAN}/scan_size_mb: no longer there" in guard.restored.line()


# Others who change settings


def test_somebody_elses_later_change_is_seen_and_left_alone(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        assert guard.changed_by_others() == []
        write(root, NUMA_BALANCING, "1")
        assert guard.changed_by_others() == [Changed(NUMA_BALANCING, "3", "1")]
    assert values(root) == OLD | {NUMA_BALANCING: "1"}
    assert guard.restored
    assert guard.restored.left_alone == {NUMA_BALANCING: "1"}
    assert f"{NUMA_BALANCING}: left at 1, which somebody else set" in guard.restored.lines()


def test_what_somebody_set_in_between_is_what_comes_back(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        guard.set(NUMA_BALANCING, "2")
        write(root, NUMA_BALANCING, "1")
        guard.set(NUMA_BALANCING, "3")
    assert values(root)[NUMA_BALANCING] == "1"


def test_a_journal_that_somebody_removed_does_not_matter(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        change_all(guard)
        (state / "journal").unlink()
    assert values(root) == OLD


# Two instances


def test_the_second_instance_refuses_and_names_the_first(root: Path, state: Path) -> None:
    process = start(root, state)
    try:
        with pytest.raises(PghotError) as caught:
            SettingsGuard(KernelHost(root), state).acquire()
        line = str(caught.value)
        assert line.startswith(f"pghot runs here already: pid {process.pid}, ")
        assert "tests.linux.guarded" in line
        assert "\n" not in line
        with pytest.raises(PghotError, match="runs here already"):
            recover(KernelHost(root), state)
        assert values(root)[NUMA_BALANCING] == "3"
    finally:
        end(process, signal.SIGTERM)
    with SettingsGuard(KernelHost(root), state):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_restores(number: int, root: Path, state: Path) -> None:
    assert end(start(root, state), number) != 0
    assert values(root) == OLD
    assert not (state / "journal").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_while_restoring_waits_until_all_is_back(
    number: int, root: Path, state: Path
) -> None:
    class Interrupted(KernelHost):
        restoring = False

        def write(self, name: str, text: str) -> None:
            if self.restoring:
                signal.raise_signal(number)
            super().write(name, text)

    def stop(*_: object) -> None:
        raise SystemExit(number)

    before = signal.signal(number, stop)
    try:
        guard = SettingsGuard(Interrupted(root), state)
        guard.acquire()
        change_all(guard)
        guard.host.restoring = True
        with pytest.raises(SystemExit):
            guard.close()
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert values(root) == OLD


def test_an_ignored_signal_stays_ignored(root: Path, state: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with SettingsGuard(KernelHost(root), state) as guard:
            change_all(guard)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


# After a kill


def test_a_kill_at_any_step_is_undone_by_restore(root: Path, state: Path) -> None:
    changed = 0
    for step in range(1, 80):
        done = subprocess.run(
            command(root, state, step), capture_output=True, text=True, cwd=ROOT, check=False
        )
        if done.returncode == 0:
            break
        assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
        changed += values(root) != OLD
        restored = recover(KernelHost(root), state)
        assert values(root) == OLD
        assert restored == Restored(back=restored.back)
        assert not (state / "journal").exists()
    assert done.stdout == "done\n"
    assert changed > 4


def test_the_next_start_restores_and_tells(root: Path, state: Path) -> None:
    assert end(start(root, state), signal.SIGKILL) == -signal.SIGKILL
    assert values(root)[NUMA_BALANCING] == "3"
    with SettingsGuard(KernelHost(root), state) as guard:
        assert values(root) == OLD
        assert guard.recovered
        assert f"{RATE_LIMIT}: 65536 again" in guard.recovered.line()
        assert "\n" not in guard.recovered.line()


def test_restoring_twice_is_restoring_once(root: Path, state: Path) -> None:
    end(start(root, state), signal.SIGKILL)
    assert len(recover(KernelHost(root), state).back) == 4
    assert recover(KernelHost(root), state) == Restored()
    assert values(root) == OLD


def left(root: Path, state: Path, lines: str) -> None:
    """Leave a journal as a killed run does."""
    state.mkdir()
    boot = KernelHost(root).text("/proc/sys/kernel/random/boot_id")
    (state / "journal").write_text(json.dumps({"boot": boot}) + "\n" + lines)


def line(path: str, old: str, new: str) -> str:
    return json.dumps({"path": path, "old": old, "new": new}) + "\n"


@given(st.integers(0, 200))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_torn_last_line_was_not_applied(tmp_path_factory, cut: int) -> None:
    place = tmp_path_factory.mktemp("torn")
    root, state = place / "host", place / "state"
    made_host(root)
    torn = line(NUMA_BALANCING, "0", "2").rstrip("\n")
    left(root, state, line(RATE_LIMIT, "65536", "0") + torn[: cut % len(torn)])
    write(root, RATE_LIMIT, "0")
    assert recover(KernelHost(root), state) == Restored(back={RATE_LIMIT: "65536"})
    assert values(root) == OLD


@pytest.mark.parametrize("text", ["", '{"bo'])
def test_a_journal_that_was_just_begun_is_nothing_to_do(
    text: str, root: Path, state: Path
) -> None:
    state.mkdir()
    (state / "journal").write_text(text)
    assert recover(KernelHost(root), state) == Restored()


@pytest.mark.parametrize(
    "bad",
    ["garbage\n", "[]\n", '"boot"\n', '{"path": "/etc/passwd", "old": "a", "new": "b"}\n',
     '{"path": "x", "became": "y"}\n', '{"old": "1"}\n'],
)  # fmt: skip
def test_a_bad_line_in_the_middle_is_told_and_the_others_are_done(
    bad: str, root: Path, state: Path
) -> None:
    left(root, state, bad + line(RATE_LIMIT, "65536", "0"))
    write(root, RATE_LIMIT, "0")
    restored = recover(KernelHost(root), state)
    assert restored.back == {RATE_LIMIT: "65536"}
    assert list(restored.failed) == [str(state / "journal")]
    assert values(root) == OLD


def test_what_was_set_after_the_kill_is_left_alone(root: Path, state: Path) -> None:
    left(root, state, line(NUMA_BALANCING, "0", "2"))
    write(root, NUMA_BALANCING, "1")
    assert recover(KernelHost(root), state) == Restored(left_alone={NUMA_BALANCING: "1"})
    assert values(root)[NUMA_BALANCING] == "1"


def test_a_reboot_has_undone_everything(root: Path, state: Path) -> None:
    left(root, state, line(NUMA_BALANCING, "0", "2"))
    trees.write(root, "/proc/sys/kernel/random/boot_id", "another")
    write(root, NUMA_BALANCING, "2")
    assert recover(KernelHost(root), state) == Restored()
    assert values(root)[NUMA_BALANCING] == "2"
    assert not (state / "journal").exists()


def test_what_fails_stays_for_the_next_try(root: Path, state: Path) -> None:
    left(root, state, line(RATE_LIMIT, "65536", "0") + line(FLAG, "false", "1"))
    write(root, FLAG, "1")
    write(root, RATE_LIMIT, "0")
    why = "Operation not permitted"
    assert recover(Refusing(root), state).failed == {FLAG: why, RATE_LIMIT: why}
    with pytest.raises(PghotError, match=r"left by a killed pghot: .*not put back: Operation not"):
        SettingsGuard(Refusing(root), state).acquire()
    assert recover(KernelHost(root), state).back == {FLAG: "false", RATE_LIMIT: "65536"}
    assert values(root) == OLD


def test_how_a_value_read_back_is_kept_for_the_next_try(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SettingsGuard(Clamping(root), state) as guard:
        guard.set(RATE_LIMIT, "70000")
        monkeypatch.setattr(guard, "host", Refusing(root))
    assert recover(Refusing(root), state).failed == {RATE_LIMIT: "Operation not permitted"}
    assert recover(KernelHost(root), state) == Restored(back={RATE_LIMIT: "65536"})


class Ignoring(KernelHost):
    def write(self, *_: str) -> None:
        """Take it and do nothing."""


def test_a_write_that_changes_nothing_is_a_failure(root: Path, state: Path) -> None:
    left(root, state, line(RATE_LIMIT, "65536", "0"))
    write(root, RATE_LIMIT, "0")
    restored = recover(Ignoring(root), state)
    assert restored.failures() == [f"{RATE_LIMIT}: not put back: reads 0 after 65536 was written"]


class Unreadable(KernelHost):
    def text(self, name: str) -> str:
        if name == RATE_LIMIT:
            raise OSError(5, "Input/output error")
        return super().text(name)


def test_a_setting_that_cannot_be_read_is_a_failure(root: Path, state: Path) -> None:
    left(root, state, line(RATE_LIMIT, "65536", "0"))
    assert recover(Unreadable(root), state).failed == {RATE_LIMIT: "Input/output error"}


def test_an_unreadable_line_stays_in_the_journal_until_somebody_has_seen_to_it(
    root: Path, state: Path
) -> None:
    left(root, state, "garb\xffage\n" + line(RATE_LIMIT, "65536", "0"))
    write(root, RATE_LIMIT, "0")
    for _ in range(2):
        restored = recover(KernelHost(root), state)
        (why,) = restored.failures()
        assert "garb" in why
        assert "see to that setting, then remove the file" in why
        with pytest.raises(PghotError, match="left by a killed pghot: "):
            SettingsGuard(KernelHost(root), state).acquire()
    assert "garb\xffage" in journal(state)
    assert values(root) == OLD


def test_what_the_kernel_made_of_a_value_comes_back_though_nothing_more_was_written_down(
    root: Path, state: Path
) -> None:
    """The run was killed after its write and before it could read back."""
    with SettingsGuard(Clamping(root), state) as guard:
        guard.set(RATE_LIMIT, "70000")
        lines = [text for text in journal(state) if "became" not in text]
        kept = values(root)[RATE_LIMIT]
    state.rename(state.with_name("done"))
    state.mkdir()
    (state / "journal").write_text("\n".join(lines) + "\n")
    write(root, RATE_LIMIT, kept)
    assert kept not in {"70000", OLD[RATE_LIMIT]}
    assert recover(KernelHost(root), state) == Restored(back={RATE_LIMIT: "65536"})


def test_what_the_kernel_made_of_a_value_comes_back_though_the_disk_fails_just_then(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Journal.became
    write(root, RATE_LIMIT, "50")

    def fails(*_: object) -> None:
        raise PghotError("journal: Input/output error")

    with SettingsGuard(Clamping(root), state) as guard:
        monkeypatch.setattr(Journal, "became", fails)
        with pytest.raises(PghotError, match="Input/output error"):
            guard.set(RATE_LIMIT, "70000")
        monkeypatch.setattr(Journal, "became", real)
    assert guard.restored == Restored(back={RATE_LIMIT: "50"})


def test_who_is_refused_takes_nothing_from_the_one_that_runs(root: Path, state: Path) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        before = sorted(path.name for path in state.iterdir())
        for refused in (SettingsGuard(KernelHost(root), state).acquire,
                        lambda: recover(KernelHost(root), state)):  # fmt: skip
            with pytest.raises(PghotError, match="runs here already"):
                refused()
        assert sorted(path.name for path in state.iterdir()) == before
        change_all(guard)
    assert values(root) == OLD


def test_settings_come_back_when_no_descriptor_is_left(root: Path, state: Path) -> None:
    taken = []
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    guard = SettingsGuard(KernelHost(root), state)
    guard.acquire()
    change_all(guard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        guard.close()
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert values(root) == OLD
    assert not (state / "journal").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk of its own")
def test_the_journal_needs_no_room_once_a_run_has_begun(root: Path, state: Path) -> None:
    script = """
import os, pathlib, subprocess, sys
from tests.linux.guarded import *
from tests.linux.test_guard import Clamping
root, state = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=128k", "none", state], check=True)
guard = SettingsGuard(Clamping(root), Path(state))
guard.acquire()
try:
    with open(state + "/filler", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)):
            pass
except OSError as error:
    print(error.strerror)
for name, value in CHANGES:
    guard.set(name, value)
os.write(1, pathlib.Path(state, "journal").read_bytes().rstrip(bytes(1)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    state.mkdir()
    done = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", script, root, state],
        capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    if b"unshare: " in done.stderr or b"mount: " in done.stderr:
        pytest.skip(f"no mounts here: {done.stderr.decode().strip()}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    full, _, lines = done.stdout.partition(b"\n")
    assert full == b"No space left on device"
    assert lines.count(b"became") == len(CHANGES)


# The state directory


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_state_directory_that_others_may_write_is_refused(
    mode: int, root: Path, state: Path
) -> None:
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(PghotError, match=r"others may write to it"):
        SettingsGuard(KernelHost(root), state).acquire()


def test_a_journal_that_others_could_have_written_is_not_followed(root: Path, state: Path) -> None:
    left(root, state, line(RATE_LIMIT, "65536", "0"))
    (state / "journal").chmod(0o666)
    write(root, RATE_LIMIT, "0")
    with pytest.raises(PghotError, match="could have been written by others"):
        recover(KernelHost(root), state)
    (state / "journal").rename(state / "elsewhere")
    (state / "journal").symlink_to("elsewhere")
    with pytest.raises(PghotError, match=r"journal: Too many levels of symbolic links$"):
        recover(KernelHost(root), state)
    assert values(root)[RATE_LIMIT] == "0"


def test_a_state_directory_that_cannot_be_written_is_one_line(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PghotError, match=r"/file/state/lock: Not a directory$"):
        SettingsGuard(KernelHost(root), tmp_path / "file" / "state").acquire()


def test_a_read_only_state_directory_changes_nothing(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def read_only(path, flags, *more, **options):
        if str(path).startswith("journal") and flags & os.O_RDWR:
            raise OSError(30, "Read-only file system")
        return real(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(PghotError, match=r"journal: Read-only file system$"):
        SettingsGuard(KernelHost(root), state).acquire()
    assert values(root) == OLD


@pytest.mark.parametrize("written", [0, 10])
def test_a_full_disk_changes_nothing_and_leaves_no_torn_line(
    written: int, root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SettingsGuard(KernelHost(root), state) as guard:
        guard.set(RATE_LIMIT, "0")
        whole = (state / "journal").read_text()
        real = os.pwrite
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:written], at))
            with pytest.raises(PghotError, match="no room for the journal"):
                guard.set(NUMA_BALANCING, "2")
        assert (state / "journal").read_text() == whole
        assert values(root)[NUMA_BALANCING] == "0"
        guard.set(NUMA_BALANCING, "2")
    assert values(root) == OLD


def test_a_change_that_cannot_be_synced_is_not_made(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with SettingsGuard(KernelHost(root), state) as guard:
        guard.set(RATE_LIMIT, "0")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(PghotError, match=r"journal: Input/output error$"):
                guard.set(NUMA_BALANCING, "2")
        assert values(root)[NUMA_BALANCING] == "0"
    assert values(root) == OLD


def test_a_state_directory_of_another_user_is_refused(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 1)
    with pytest.raises(PghotError, match=r"belongs to another user$"):
        SettingsGuard(KernelHost(root), state).acquire()


def test_an_unreadable_journal_is_one_line_and_the_lock_is_free_again(
    root: Path, state: Path
) -> None:
    (state / "journal").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(PghotError, match=r"journal: Is a directory$"):
            recover(KernelHost(root), state)
        with pytest.raises(PghotError, match=r"journal: Is a directory$"):
            SettingsGuard(KernelHost(root), state).acquire()


def test_a_lock_that_cannot_be_written_to_leaves_no_trace(
    root: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    monkeypatch.setattr(guard_module.Journal, "read", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        SettingsGuard(KernelHost(root), state).acquire()
    monkeypatch.undo()
    with SettingsGuard(KernelHost(root), state):
        pass


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(OLD)), st.integers(0, 3), st.booleans()), max_size=12
    )
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_set_comes_back_unless_somebody_else_was_last(
    tmp_path_factory, steps: list[tuple[str, int, bool]]
) -> None:
    place = tmp_path_factory.mktemp("any")
    root, state = place / "host", place / "state"
    made_host(root)
    others: dict[str, str] = {}
    with SettingsGuard(KernelHost(root), state) as guard:
        for name, number, ours in steps:
            value = str(number % 2 if name == FLAG else number)
            if ours:
                guard.set(name, value)
            else:
                write(root, name, value)
                others[name] = values(root)[name]
        found = Journal(state / "journal").read()
        changed = {entry.path for entry in found.entries} if found else set()
    for name, value in OLD.items():
        if name not in others:
            assert values(root)[name] == value
        if name not in changed:
            assert values(root)[name] == others.get(name, value)
