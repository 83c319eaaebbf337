"""`pghot run` and `pghot record`: what cannot be is one line, and nothing has changed by then."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pghot.linux.guard.lock import default_state_dir
from pghot.linux.guard.settings_guard import SettingsGuard
from pghot.linux.host import Host
from tests.cli.live_host import LiveHost, files
from tests.linux import host_trees
from tests.live.world import SCAN
from tests.log.made import Outcome, Run, entries

WHO = ("-p", "40")
NO_SOURCE = "no source; there are hintfault, hwhint, external:PATH"
NAME_ONE = "name what to watch: one of -p PID, -a, -G CGROUP, -- COMMAND"
BALANCING = "/proc/sys/kernel/numa_balancing"


def said(done: Outcome, status: int) -> str:
    """The one line of a command that refused, whichever part of it did."""
    assert (done.status, done.out) == (status, ""), done
    assert done.err.count("\n") == 1, done.err
    name, _, line = done.err.partition(": ")
    assert name.startswith("pghot"), done.err
    return line.rstrip("\n")


@contextmanager
def untouched(host: LiveHost, directory: Path) -> Iterator[None]:
    """Hold that no file of the host has changed, no setting been written, and nothing left."""
    before, there = files(host.root), {*entries(directory), "state"}
    yield
    assert files(host.root) == before
    assert host.writes == []
    assert not (directory / "state/journal").exists()
    assert {*entries(directory), "state"} == there


@pytest.fixture
def refused(live: LiveHost, run: Run, tmp_path: Path) -> Callable[..., str]:
    """The line with which a command refuses, nothing having changed."""

    def refused(*arguments: object, status: int = 2) -> str:
        with untouched(live, tmp_path):
            return said(run(*arguments), status)

    return refused


@pytest.fixture(params=["run", "record"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ...]:
    """Each of both commands, with what it cannot do without."""
    return ("run",) if request.param == "run" else ("record", "-o", str(tmp_path / "new.parquet"))


@pytest.mark.parametrize(
    "who",
    [
        (),
        ("-p", "40", "-a"),
        ("-a", "-G", "web"),
        ("-p", "40", "--", "sleep", "1"),
        ("-p", "40", "-G", "web", "--", "sleep"),
    ],
    ids=" ".join,
)
def test_one_kind_of_target_is_named(who, command, refused) -> None:
    assert refused(*command, *who) == NAME_ONE


@pytest.mark.parametrize(
    ("given", "status", "line"),
    [
        (("-p", "41"), 2, "-p 41: no such process"),
        (("-p", "40,41"), 2, "-p 41: no such process"),
        (("-p", "99999999999999999999"), 2, "-p 99999999999999999999: no such process"),
        (("-p", "init"), 2, "-p init: wants process ids, as in -p 4711,4712"),
        (("-p", ""), 2, "-p : wants process ids, as in -p 4711,4712"),
        (("-p", "-3"), 2, "-p -3: wants process ids, as in -p 4711,4712"),
        (("-G", "web"), 2, "/sys/fs/cgroup: no control groups are mounted there"),
        (("--", "no-such-command"), 127, "no-such-command: command not found"),
        (("--", "/etc"), 126, "/etc: not an executable file"),
        ((*WHO, "-d", "0"), 2, "--duration 0.0: wants seconds above 0 and below 1e+09"),
        ((*WHO, "-d", "-1"), 2, "--duration -1.0: wants seconds above 0 and below 1e+09"),
        ((*WHO, "-d", "nan"), 2, "--duration nan: wants seconds above 0 and below 1e+09"),
        (
            (*WHO, "--duration", "soon"),
            2,
            "argument -d/--duration: invalid float value: 'soon'; see pghot {} --help",
        ),
        ((*WHO, "--tiers", "0"), 2, None),
        ((*WHO, "--tiers", "0/x"), 2, None),
        ((*WHO, "--tiers", "0/9"), 2, "--tiers 0/9: there is no node 9; nodes here: 0-1"),
        ((*WHO, "--source", "mtrr"), 2, f"'mtrr': {NO_SOURCE}"),
        ((*WHO, "--source", ""), 2, f"'': {NO_SOURCE}"),
        (
            (*WHO, "--source", "external:"),
            2,
            "--source external: wants a socket, as in external:/run/pghot-feed.sock",
        ),
        (
            (*WHO, "--source", "external:/dev/null"),
            2,
            "/dev/null: is there already and is no socket",
        ),
        ((*WHO, "--scan-delay-ms", "-1"), 2, "--scan-delay-ms -1: wants 0 or more"),
        (
            (*WHO, "--source", "hwhint"),
            1,
            "source hwhint: no PMU with memory events (a virtual machine usually has none)",
        ),
        ((*WHO, "--no-such-option"), 2, None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_watched_is_one_line(given, status, line, command, refused) -> None:
    got = refused(*command, *given, status=status)
    assert got == line.format(command[0]) if line else given[-1] in got


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("--latency-budget=0", "--latency-budget 0.0: wants milliseconds above 0"),
        ("--latency-budget=-5", "--latency-budget -5.0: wants milliseconds above 0"),
        ("--latency-budget=nan", "--latency-budget nan: wants milliseconds above 0"),
        ("--move-budget=0", "--move-budget 0: wants percent, above 0 and up to 1000"),
        ("--latency-budget=20ms", "argument --latency-budget: invalid float value: '20ms'"),
        ("--mode=fast", "argument --mode: no 'fast'; perhaps default? "),
        ("--fidelity=v9", "argument --fidelity: no 'v9'; perhaps v8? "),
        (
            "--set=freq_treshold=2",
            "freq_treshold: no such tunable; perhaps freq_threshold? there are ",
        ),
        (
            "--set=freq_threshold",
            "--set freq_threshold: wants NAME=VALUE; see pghot help tunables",
        ),
        ("--set=freq_threshold=4", "freq_threshold: '4' is not within 1..3"),
        ("--set=freq_threshold=", "freq_threshold: '' is no number"),
        ("--set=target_nid=1", "target_nid: '1' is not an online top-tier node"),
        ("--set=kmigrated_batch_nr=4294967296", "kmigrated_batch_nr: "),
        ("--set=enabled_sources=4", "enabled_sources: '4' has bits other than 0x1"),
        ("--set=pghot_promote_freq_window_ms=60000", "pghot_promote_freq_window_ms: "),
    ],
)
def test_what_the_engine_cannot_do_is_one_line(given, line, refused, tmp_path) -> None:
    log, out = tmp_path / "log.parquet", tmp_path / "out"
    assert refused("run", *WHO, given, "-o", out, "--record", log).startswith(line)


def test_the_threshold_of_precision_mode_has_its_own_range(refused) -> None:
    line = refused("run", *WHO, "--mode", "precise", "--set", "freq_threshold=8")
    assert line == "freq_threshold: '8' is not within 1..7"


def test_sources_are_given_one_way_only(refused) -> None:
    line = refused("run", *WHO, "--source", "hintfault", "--set", "enabled_sources=1")
    assert line == "give the sources by --source or by enabled_sources, not both"


def test_a_recording_wants_a_name(refused) -> None:
    assert refused("record", *WHO).startswith("the following arguments are required: -o")


@pytest.mark.parametrize("command", [("run", "--record"), ("record", "-o")])
def test_a_log_that_is_there_is_written_over_by_force_only(command, refused, tmp_path) -> None:
    log = tmp_path / "log.parquet"
    log.write_text("mine")
    line = refused(*command, log, *WHO)
    assert line == f"{log}: exists already; choose another name or give --force"
    assert log.read_text() == "mine"


@pytest.mark.parametrize("command", [("run", "--record"), ("record", "-o")])
def test_what_a_killed_recording_left_is_not_lost_unasked(command, refused, tmp_path) -> None:
    parts = tmp_path / "log.parquet.parts"
    parts.mkdir()
    assert refused(*command, tmp_path / "log.parquet", *WHO).startswith(
        f"{parts}: a recording was left here: pghot replay {parts} reads it"
    )


@pytest.mark.parametrize("command", [("run", "--record"), ("record", "-o")])
@pytest.mark.parametrize("name", ["nowhere/log.parquet", "log.csv", "host"])
def test_a_log_that_cannot_be_written_is_one_line(command, name, refused, tmp_path) -> None:
    assert refused(*command, tmp_path / name, *WHO).startswith(str(tmp_path / name))


def test_results_go_to_no_directory_that_holds_something(refused, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    line = refused("run", *WHO, "-o", out)
    assert line == f"{out}: is not empty; choose another -o or give --force"
    assert entries(out) == ["notes.txt"]


def test_results_go_to_no_directory_in_which_another_pghot_writes(refused, tmp_path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    held = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        line = refused("run", *WHO, "-o", out, "--force")
    finally:
        os.close(held)
    assert line == f"{out}: another pghot is writing there; choose another -o"


def test_results_go_to_no_file(refused, tmp_path) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    assert refused("run", *WHO, "-o", out) == f"{out}: is not a directory"


def test_a_control_group_that_is_not_there_is_named(live, command, refused) -> None:
    host_trees.write(live.root, "/sys/fs/cgroup/cgroup.procs", "40")
    line = refused(*command, "-G", "web")
    assert line == "-G web: no such control group below /sys/fs/cgroup"


# What the host lacks


@pytest.mark.parametrize("make", [host_trees.plain, host_trees.old])
def test_without_a_slow_node_it_is_said_and_what_may_help(
    make, at: Callable[[Host], Host], command, run: Run, tmp_path: Path
) -> None:
    host = at(host_trees.host(make, tmp_path / "other"))
    before = files(host.root)
    line = said(run(*command, "-a"), 1)
    if make is host_trees.plain:
        assert line == "nothing to promote on this host: one node only: pghot demo"
    else:  # slow it has, but no way to see its pages
        assert line.startswith("nothing shows accesses here: no hint faults: ")
    assert files(host.root) == before
    assert not (tmp_path / "state/journal").exists()


def test_a_host_all_of_whose_nodes_are_slow_is_told_too(command, refused) -> None:
    line = refused(*command, *WHO, "--tiers", "0-1", status=1)
    assert line == (
        "nothing to promote on this host: the kernel takes every node for top tier; some have no "
        "CPUs: try --tiers 0/1"
    )


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_without_the_right_to_perf_events_it_is_named(code, live, command, refused) -> None:
    live.refuse = code
    line = refused(*command, *WHO, status=1)
    assert "perf_event_open is refused though CAP_SYS_ADMIN is there: a container's" in line


def test_a_user_without_a_session_is_told_to_be_root(
    command, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for module in ("lock", "settings_guard"):
        monkeypatch.setattr(f"pghot.linux.guard.{module}.default_state_dir", default_state_dir)
    assert refused(*command, *WHO, status=1).endswith("run as root (sudo)")


def test_without_page_flags_a_run_says_what_is_missing(live, refused) -> None:
    (live.root / "proc/kpageflags").unlink()
    line = refused("run", *WHO)
    assert line == "/proc/kpageflags: not there; the kernel needs CONFIG_PROC_PAGE_MONITOR"


def test_a_setting_that_may_not_be_written_is_named_and_those_before_it_come_back(
    live: LiveHost, command, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = live.write

    def refusing(name: str, text: str) -> None:
        if name == BALANCING:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        write(name, text)

    before = files(live.root)
    monkeypatch.setattr(live, "write", refusing)
    done = run(*command, *WHO)
    assert (done.status, done.out) == (1, "")
    assert done.err.splitlines()[-1] == (
        f"pghot: {BALANCING}: cannot be set to 2: Operation not permitted"
    )
    assert [name for name, _ in live.writes].count(f"{SCAN}/scan_delay_ms") == 2
    assert files(live.root) == before


def test_a_second_command_names_the_first(live: LiveHost, command, refused, tmp_path) -> None:
    with SettingsGuard(live, tmp_path / "state"):
        line = refused(*command, *WHO, status=1)
    assert line.startswith(f"pghot runs here already: pid {os.getpid()}, ")
