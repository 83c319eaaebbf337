"""`pghot ctl` beside a real `pghot run` on the made-up host, each a command of its own."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from pghot.engine.tunables import TUNABLES
from tests.cli.live_host import LiveHost
from tests.cli.test_live_commands import (
    BALANCING,
    ELSEWHERE,
    value,
    wait_for,
    wait_until_under_way,
)
from tests.log.made import Run, pghot_command


@contextmanager
def running(tmp_path: Path, *options: object) -> Iterator[subprocess.Popen[str]]:
    """Have a run in a process of its own, whose sockets `pghot ctl` finds by itself."""
    before = ELSEWHERE.format(root=str(tmp_path / "other"), state=str(tmp_path / "state"))
    words = pghot_command("run", "-p", "40", "--json", *options, before=before)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=90)


@pytest.fixture
def here(tmp_path: Path, live: LiveHost) -> Path:  # noqa: ARG001 - its state directory is used
    return tmp_path


def sockets(here: Path) -> list[Path]:
    return sorted((here / "state" / "ctl").glob("*.sock"))


@pytest.fixture
def first(here: Path) -> Iterator[subprocess.Popen[str]]:
    with running(here) as process:
        wait_until_under_way(here / "state")
        yield process


@pytest.mark.usefixtures("first")
def test_a_run_is_found_read_and_set_while_it_goes_on(run: Run, here: Path) -> None:
    done = run("ctl", "get")
    assert done.status == 0, done.err
    values = dict(line.split("=") for line in done.out.splitlines())
    assert list(values) == list(TUNABLES)
    assert values["freq_threshold"] == "2"
    done = run("ctl", "set", "freq_threshold=1", "pghot_promote_rate_limit_MBps=0x10")
    assert (done.status, done.out, done.err) == (0, "", "")
    done = run("ctl", "get", "freq_threshold", "pghot_promote_rate_limit_MBps", "--json")
    assert json.loads(done.out) == {"freq_threshold": 1, "pghot_promote_rate_limit_MBps": 16}
    assert run("ctl", "set", *run("ctl", "get").out.split()).status == 0
    (socket,) = sockets(here)
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("set", "freq_threshold=4"), "freq_threshold: '4' is not within 1..3 (EINVAL)"),
        (("set", "target_nid=1"), "target_nid: '1' is not an online top-tier node (EINVAL)"),
        (("set", "freq_threshold="), "freq_threshold: '' is no number (EINVAL)"),
        (("set", "freq_threshold"), "freq_threshold: wants NAME=VALUE"),
        (("set", "freq_treshold=1"), "freq_treshold: no such tunable; perhaps freq_threshold? "),
        (
            ("get", "freq_treshold"),
            "freq_treshold: no such tunable or counter; perhaps freq_threshold? there are",
        ),
        (("watch", "--count", "0"), "--count 0: wants 1 or more"),
    ],
)
def test_what_the_kernel_would_refuse_is_one_line_and_status_2(
    run: Run, words: tuple[str, ...], why: str
) -> None:
    assert run("ctl", *words).refusal(2).startswith(why)
    assert run("ctl", "get", "freq_threshold").out == "freq_threshold=2\n"


def test_watch_gives_a_state_a_second_as_lines_and_as_json(
    run: Run, first: subprocess.Popen[str]
) -> None:
    done = run("ctl", "watch", "--count", "2")
    assert done.status == 0
    for line in done.out.splitlines():
        assert " samples " in line
        assert " promoted " in line
        assert " top tier " in line
    done = run("ctl", "watch", "--count", "3", "--json")
    states = [json.loads(line) for line in done.out.splitlines()]
    assert [state["pid"] for state in states] == [first.pid] * 3
    assert all(earlier["time"] < later["time"] for earlier, later in pairwise(states))


def test_watch_ends_with_the_run(here: Path, first: subprocess.Popen[str]) -> None:
    before = ELSEWHERE.format(root=str(here / "none"), state=str(here / "state"))
    words = pghot_command("ctl", "watch", "--json", before=before)
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["pid"] == first.pid
        first.send_signal(signal.SIGTERM)
        rest, _ = watching.communicate(timeout=90)
    assert json.loads(rest.splitlines()[-1])["live"]["ended"] == "stopped by SIGTERM"
    assert watching.returncode == 0


def test_none_is_one_line_and_status_1(run: Run, here: Path) -> None:
    none = f"no pghot run listens in {here / 'state' / 'ctl'}; pghot run -p PID starts one"
    assert run("ctl", "get").refusal(1) == none
    why = run("ctl", "get", "--pid", "4711").refusal(1)
    assert why == f"{here / 'state' / 'ctl' / '4711.sock'}: no run listens there"


def test_a_run_elsewhere_is_named_by_its_socket(run: Run, here: Path) -> None:
    path = here / "named.sock"
    with running(here, "--control", path):
        wait_for(path.exists)
        assert not sockets(here)
        assert run("ctl", "get").status == 1
        assert run("ctl", "get", "freq_threshold", "--control", path).out == "freq_threshold=2\n"
    assert not path.exists()


def test_without_control_nobody_listens(run: Run, here: Path) -> None:
    with running(here, "--no-control"):
        wait_for(lambda: value(here / "other", BALANCING) == "2")
        assert not (here / "state" / "ctl").exists()
        assert run("ctl", "get").status == 1


def test_a_killed_run_leaves_a_socket_that_the_next_command_removes(run: Run, here: Path) -> None:
    with running(here) as process:
        wait_for(lambda: bool(sockets(here)))
        process.kill()
        process.wait()
        assert len(sockets(here)) == 1
        assert run("ctl", "get").status == 1
        assert not sockets(here)


def test_where_the_socket_cannot_be_the_host_is_left_alone(run: Run, live: LiveHost) -> None:
    taken = live.root.parent / "file"
    taken.write_text("")
    why = run("run", "-p", "40", "--control", taken).refusal(2)
    assert why == f"{taken}: is there already and is no socket"
    assert live.writes == []


def test_a_second_run_that_is_refused_leaves_the_first_one_its_socket(
    run: Run, here: Path, first: subprocess.Popen[str]
) -> None:
    assert (
        run("run", "-p", "40").refusal(1).startswith(f"pghot runs here already: pid {first.pid}")
    )
    assert [path.stem for path in sockets(here)] == [str(first.pid)]
    assert run("ctl", "get", "--pid", first.pid).status == 0


def test_its_help_says_what_it_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pghot", "ctl", "set", "--help"],
        capture_output=True, text=True, check=True, env=os.environ | {"COLUMNS": "80"},
    )  # fmt: skip
    assert "Write tunables, as echo VALUE > FILE would" in done.stdout
