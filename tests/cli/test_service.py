"""A run as a service: reloads, JSON logs, the tree and the manager, on a made-up host."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from pghot.cli.reloading import Reload
from pghot.linux.guard.mounts import end_mount
from tests.cli.live_host import LiveHost
from tests.cli.test_live_commands import ELSEWHERE, value, wait_for
from tests.live.world import FAST
from tests.log.made import Run, pghot_command
from tests.serving.rig import fuse_is_missing, mounts_at

ROOT = Path(__file__).resolve().parents[2]
BALANCING = "/proc/sys/kernel/numa_balancing"
needs_fuse = pytest.mark.skipif(bool(fuse_is_missing()), reason=f"FUSE: {fuse_is_missing()}")


@pytest.fixture
def loaded(live: LiveHost) -> LiveHost:
    """Twenty hot pages, all slow."""
    for page in range(100, 120):
        live.map(40, page)
    live.heat(40, *range(100, 120), times=3, each_ms=10)
    return live


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pghot.toml"
    path.write_text("pids = [40]\nduration = 0.5\n[tunables]\nfreq_threshold = 2\n")
    return path


@pytest.fixture
def until_reloaded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run by the file goes on until it has reloaded it, however long that takes."""
    file.write_text(file.read_text().replace("0.5", "600"))
    whole = Reload.reload

    def reload(self: Reload) -> None:
        whole(self)
        wait_for(lambda: self._mailbox.state().time > self._mailbox.state().started)
        stop()

    monkeypatch.setattr(Reload, "reload", reload)


def once_it_runs(host: LiveHost, *steps: Callable[[], object]) -> None:
    """Do the steps as the run begins to watch, before it looks at signals or the time."""
    host.once_watched += steps


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def logged(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.usefixtures("loaded")
def test_a_run_takes_its_options_from_the_file(file: Path, run: Run) -> None:
    file.write_text(file.read_text().replace("= 2", "= 3"))
    done = run("run", "--config", file, "--json")
    summary = json.loads(done.out)
    assert summary["tunables"]["freq_threshold"] == 3
    assert summary["live"]["promoted_pages"] == 20


@pytest.mark.usefixtures("until_reloaded")
def test_sighup_rereads_the_file_and_the_run_goes_on_with_its_tunables(
    loaded: LiveHost, file: Path, run: Run
) -> None:
    new = "pids = [40]\nduration = 9\n[tunables]\nfreq_threshold = 3\nkmigrated_batch_nr = 7\n"
    once_it_runs(loaded, lambda: file.write_text(new), hang_up)
    done = run("run", "--config", file, "--json")
    summary = json.loads(done.out)
    assert summary["live"]["ended"] == "stopped by SIGTERM"
    assert summary["tunables"]["freq_threshold"] == 3
    assert summary["tunables"]["kmigrated_batch_nr"] == 7
    told = f"{file}: reloaded: freq_threshold 2 -> 3, kmigrated_batch_nr 512 -> 7"
    assert f"pghot: {told}\n" in done.err
    assert f"pghot: {file}: duration: cannot change during a run; restart it\n" in done.err
    assert value(loaded.root, BALANCING) == "0"


@pytest.mark.usefixtures("until_reloaded")
def test_the_command_line_still_wins_after_a_reload(
    loaded: LiveHost, file: Path, run: Run
) -> None:
    new = file.read_text().replace("= 2", "= 3")
    once_it_runs(loaded, lambda: file.write_text(new), hang_up)
    done = run("run", "--config", file, "--json", "--set", "freq_threshold=1")
    assert json.loads(done.out)["tunables"]["freq_threshold"] == 1
    assert f"{file}: reloaded: no tunable changes" in done.err


@pytest.mark.usefixtures("until_reloaded")
def test_a_tunable_that_is_no_longer_named_has_its_default_again(
    loaded: LiveHost, file: Path, run: Run
) -> None:
    file.write_text(file.read_text() + "kmigrated_batch_nr = 7\ntarget_nid = 0\n")
    once_it_runs(loaded, lambda: file.write_text("pids = [40]\nduration = 600\n"), hang_up)
    done = run("run", "--config", file, "--json")
    assert json.loads(done.out)["tunables"]["kmigrated_batch_nr"] == 512
    assert f"{file}: target_nid: no longer named; as it is until a restart" in done.err


@pytest.mark.usefixtures("until_reloaded")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pids = [40", "not reloaded, the run goes on as it was: {file}: not TOML"),
        ("pids = [40]\nmoed = 1", "not reloaded, the run goes on as it was: {file}: unknown key"),
        (
            "pids = [40]\nduration = 600\n[tunables]\ntarget_nid = 1",
            "{file}: target_nid: '1' is not an online top-tier node",
        ),
    ],
)
def test_a_file_that_became_wrong_changes_nothing_and_is_told(
    loaded: LiveHost, file: Path, run: Run, text: str, why: str
) -> None:
    once_it_runs(loaded, lambda: file.write_text(text), hang_up)
    done = run("run", "--config", file, "--json")
    assert json.loads(done.out)["live"]["ended"] == "stopped by SIGTERM"
    assert f"pghot: {why.format(file=file)}" in done.err
    assert json.loads(done.out)["tunables"]["target_nid"] == 0


def test_without_a_file_sighup_ends_the_run(loaded: LiveHost, run: Run) -> None:
    once_it_runs(loaded, hang_up)
    done = run("run", "-p", "40", "-d", "600", "--json")
    assert json.loads(done.out)["live"]["ended"] == "stopped by SIGHUP"


@pytest.mark.usefixtures("loaded")
def test_a_json_log_is_an_object_a_line_and_nothing_else(run: Run) -> None:
    done = run("run", "-p", "40", "-d", "0.6", "--log-format", "json")
    assert (done.status, done.out) == (0, "")
    lines = logged(done.err)
    assert all(set(line) >= {"time", "level", "message", "pid"} for line in lines)
    assert all(datetime.fromisoformat(line["time"]).tzinfo for line in lines)
    assert lines[0]["message"].startswith("hint faults: NUMA balancing in tiering mode")
    assert {line["level"] for line in lines} <= {"info", "warning"}
    last = lines[-1]
    assert last["message"] == "ended: the time was up"
    assert (last["promoted_pages"], last["found_hot"], last["samples"]) == (20, 20, 60)


@pytest.mark.usefixtures("loaded")
def test_what_is_amiss_is_a_warning_in_the_log(live: LiveHost, run: Run) -> None:
    shutil.rmtree(live.path("/sys/kernel/debug/sched"))
    done = run("run", "-p", "40", "-d", "0.3", "--log-format", "json")
    (line,) = [line for line in logged(done.err) if "is debugfs mounted" in line["message"]]
    assert line["level"] == "warning"


def test_an_error_is_an_object_as_well_with_the_exit_status(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pghot.toml"
    path.write_text('log_format = "json"\n')
    done = run("run", "--config", path)
    (line,) = logged(done.err)
    assert (done.status, line["level"], line["exit_status"]) == (2, "error", 2)
    assert line["message"].startswith("name what to watch")


@needs_fuse
def test_the_tree_is_there_before_the_host_is_touched_and_gone_after_it_is_as_it_was(
    loaded: LiveHost, run: Run, tmp_path: Path
) -> None:
    tree, seen = tmp_path / "tree", []
    tree.mkdir()
    changed = type(loaded).write

    def write(name: str, text: str) -> None:
        seen.append(bool(mounts_at(tree)))
        changed(loaded, name, text)

    def use() -> None:
        seen.append((tree / "debug/pghot/freq_threshold").read_text())
        (tree / "debug/pghot/freq_threshold").write_text("3\n")
        seen.append((tree / "debug/pghot/freq_threshold").read_text())
        stop()

    loaded.write = write  # type: ignore[method-assign]
    # In another thread: the run answers who reads its tree.
    once_it_runs(loaded, threading.Thread(target=use, daemon=True).start)
    done = run("run", "-p", "40", "-d", "600", "--json", "--mount", tree)
    assert done.status == 0, done.err
    assert all(seen)
    assert [text for text in seen if isinstance(text, str)] == ["2\n", "3\n"]
    assert json.loads(done.out)["tunables"]["freq_threshold"] == 3
    assert mounts_at(tree) == []


@needs_fuse
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_tree_goes_at_signals_and_after_a_kill_restore_takes_it_away(
    number, run: Run, live: LiveHost, tmp_path: Path
) -> None:
    other, tree = tmp_path / "other", tmp_path / "tree"
    tree.mkdir()
    before = ELSEWHERE.format(root=str(other), state=str(tmp_path / "state"))
    words = pghot_command("run", "-p", "40", "--mount", tree, before=before)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: value(other, BALANCING) == "2" or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        assert mounts_at(tree)
        process.send_signal(number)
        process.communicate(timeout=90)
    if number != signal.SIGKILL:
        assert mounts_at(tree) == []
        return
    assert mounts_at(tree)
    # The made-up host's root is not ours: its mount is where the real one lies.
    place = live.path(str(tmp_path))
    place.parent.mkdir(parents=True)
    place.symlink_to(tmp_path)
    live.path("/proc/self").mkdir(parents=True, exist_ok=True)
    live.path("/proc/self/mountinfo").write_text(Path("/proc/self/mountinfo").read_text())
    restored = run("restore")
    if mounts_at(tree):
        end_mount(str(tree))
        pytest.fail("still mounted")
    assert f"{tree}: unmounted" in restored.out.splitlines()


def test_a_dead_mount_that_may_not_be_taken_away_is_told_and_keeps_no_run_from_starting(
    loaded: LiveHost, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is for a run inside the unit when another, outside of it, was killed."""

    def clear(*_: object) -> tuple[list[str], dict[str, str]]:
        return [], {"/mnt": "Operation not permitted"}

    monkeypatch.setattr("pghot.linux.guard.settings_guard.clear_dead_mounts", clear)
    line = "/mnt: not unmounted: Operation not permitted"
    done = run("run", "-p", "40", "-d", "0.3")
    assert (done.status, loaded.writes != []) == (0, True)
    assert done.err.startswith(f"pghot: put back what a killed pghot left: {line}\n")
    assert run("restore").refusal(1) == line


def test_a_mount_on_what_is_no_directory_touches_nothing(loaded: LiveHost, run: Run) -> None:
    if fuse_is_missing() and "no /dev/fuse" in fuse_is_missing():
        pytest.skip(fuse_is_missing())
    refusal = run("run", "-p", "40", "--mount", "/nowhere").refusal(2)
    assert refusal == "--mount /nowhere: no such directory; mkdir it first"
    assert loaded.writes == []


@pytest.mark.usefixtures("loaded")
def test_a_run_under_a_manager_is_ready_reloads_and_stops(
    file: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    words: list[str] = []
    stopped: list[bool] = []
    file.write_text(file.read_text().replace("0.5", "600"))

    def manage() -> None:
        while words[-1:] != ["STOPPING"]:
            heard = manager.recv(4096).decode().split("\n")
            words.extend(line.split("=")[0] for line in heard)
            if heard == ["READY=1"] and "RELOADING" not in words:
                hang_up()
            if words.count("STATUS") >= 2 <= words.count("READY") and not stopped:
                stopped.append(True)
                stop()

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(90)
        thread = threading.Thread(target=manage)
        thread.start()
        assert run("run", "--config", file, "--json").status == 0
        thread.join()
    assert words[0] == "READY"
    assert "READY" in words[words.index("RELOADING") :]
    assert words.count("WATCHDOG") == words.count("STATUS") >= 2
    assert "NOTIFY_SOCKET" not in os.environ


@pytest.mark.usefixtures("loaded", "until_reloaded")
def test_a_reload_that_comes_while_a_run_starts_waits_until_it_goes(
    file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cautions(*_: object) -> list[str]:
        file.write_text(file.read_text().replace("= 2", "= 3"))
        hang_up()
        return []

    monkeypatch.setattr("pghot.live.recording.cautions", cautions)
    done = run("run", "--config", file, "--json")
    assert f"{file}: reloaded: freq_threshold 2 -> 3" in done.err
    assert json.loads(done.out)["live"]["ended"] == "stopped by SIGTERM"


# The unit.

UNIT = ROOT / "share" / "systemd" / "pghot.service"
SERVICE_PAGE = ROOT / "docs" / "service.md"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit as a packager installs it, with a command that is there."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze (package systemd)")
    command = tmp_path / "pghot"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pghot "$@"\n')
    command.chmod(0o755)
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/usr/bin/pghot", str(command)))
    return path


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False
    )


def test_the_unit_has_nothing_that_systemd_does_not_know(unit: Path) -> None:
    done = analyze("verify", "--man=no", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_units_exposure_is_what_the_page_says_and_no_more(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", "--threshold=30", unit)
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd before 250: no systemd-analyze security --offline")
    assert done.returncode == 0, done.stdout
    level = re.search(r"Overall exposure level for pghot.service: ([0-9.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= float(re.search(r"exposure level (\d\.\d)", page())[1])


def page() -> str:
    return SERVICE_PAGE.read_text()


def test_every_capability_of_the_unit_has_its_reason_there_and_on_the_page() -> None:
    text = UNIT.read_text()
    granted = re.search(r"^CapabilityBoundingSet=(.*)$", text, re.MULTILINE)[1].split()
    reasons = re.findall(r"^# (CAP_\w+): ", text, re.MULTILINE)
    assert sorted(granted) == sorted(reasons)
    assert all(f"`{name}`" in page() for name in granted)


def test_a_run_could_do_under_the_units_capabilities_what_it_could_as_root() -> None:
    """By pghot doctor, which tries each step on this very host."""
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("not root, or no setpriv (util-linux)")
    granted = re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)[1]
    bounds = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in granted.split())
    doctor = [sys.executable, "-m", "pghot", "doctor", "--json"]
    limited = ["setpriv", f"--bounding-set=-all,{bounds}", "--inh-caps=-all", *doctor]

    def states(words: list[str]) -> dict[str, str]:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        checks = json.loads(done.stdout)["checks"]
        # LimitMEMLOCK=infinity of the unit stands in for CAP_IPC_LOCK.
        return {c["name"]: c["state"] for c in checks if c["name"] != "ring memory"}

    assert states(limited) == states(doctor)


def system_calls(names: list[str]) -> set[str]:
    """The system calls that sets and names stand for, as systemd has them."""
    listed = analyze("syscall-filter", "--no-pager").stdout
    sets: dict[str, list[str]] = {}
    for line in re.sub(r"\x1b\[[0-9;]*m", "", listed).splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())
    calls: set[str] = set()
    for name in names:
        calls |= system_calls_of(sets, name)
    return calls


def system_calls_of(sets: dict[str, list[str]], name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    return set().union(*(system_calls_of(sets, member) for member in sets[name]))


@pytest.mark.usefixtures("unit")
def test_the_units_filter_lets_through_every_system_call_of_a_run(tmp_path: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("no strace")
    allowed = system_calls(["@default"])
    for listed in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE):
        if listed.startswith("~"):
            allowed -= system_calls(listed.removeprefix("~").split())
        else:
            allowed |= system_calls(listed.split())
    host, file = tmp_path / "other", tmp_path / "pghot.toml"
    file.write_text("pids = [40]\nduration = 0.5\n")
    before = ELSEWHERE.format(root=str(host), state=str(tmp_path / "state"))
    run = pghot_command("run", "--config", file, "--metrics", "127.0.0.1:0", before=before)
    doctor = [sys.executable, "-m", "pghot", "doctor"]  # which makes the host's calls for real
    used: set[str] = set()
    for place, words in enumerate((run, doctor)):
        trace = tmp_path / f"trace{place}"
        done = subprocess.run(
            ["strace", "-f", "-o", trace, *words], capture_output=True, text=True, check=False
        )
        if "PTRACE" in done.stderr:
            pytest.skip("ptrace is not allowed here")
        used |= set(re.findall(r"^\d+ +([a-z]\w*)\(", trace.read_text(), re.MULTILINE))
    assert {"perf_event_open", "move_pages", "flock", "socket"} <= used
    assert used <= allowed


NEVER_WRITTEN_AND_EXECUTED = """
import ctypes, errno, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_run_makes_no_memory_executable(file: Path, tmp_path: Path) -> None:
    """As under MemoryDenyWriteExecute=yes, by the kernel's own means."""
    before = ELSEWHERE.format(root=str(tmp_path / "other"), state=str(tmp_path / "state"))
    file.write_text("pids = [40]\nduration = 0.5\n")
    wrap = [sys.executable, "-c", NEVER_WRITTEN_AND_EXECUTED]
    if subprocess.run([*wrap, "/bin/true"], capture_output=True, check=False).returncode:
        pytest.skip("no PR_SET_MDWE (Linux before 6.3)")
    run = pghot_command("run", "--config", file, "--metrics", "127.0.0.1:0", before=before)
    done = subprocess.run([*wrap, *run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hot_pages_are_fast_at_the_end_of_a_configured_run(
    loaded: LiveHost, file: Path, run: Run
) -> None:
    file.write_text("pids = [40]\nduration = 0.6\n")
    run("run", "--config", file)
    assert {loaded.nid_of(40, page) for page in range(100, 120)} == {FAST}
