"""The command of --metric-command: what it prints, whose it is, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.linux.processes.metric_command import LINE, MetricCommand, Numbers

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def ended(command: str, *, until: Callable[[], bool] | None = None, **environ: str) -> Numbers:
    """What comes of a command that is read until it has ended, or until something is so."""
    metric = MetricCommand(command, {**os.environ, **environ})
    metric.start()
    assert metric._launched
    done = until or (lambda: metric._launched.poll() is not None)
    end = time.monotonic() + 90
    while not done():
        assert time.monotonic() < end
        metric.read()
        time.sleep(0.01)
    return metric.end()


@pytest.mark.parametrize(
    ("command", "how_many", "mean"),
    [
        ("echo 3", 1, 3.0),
        ("printf '1\\n2.5\\n\\n -4e1 \\n'", 3, -36.5 / 3),
        ("printf 7", 1, 7.0),
        ("for i in 1 2 3; do echo $i; sleep 0.05; done", 3, 2.0),
        ("yes 4 | head -n 200000", 200_000, 4.0),
    ],
)
def test_numbers_are_taken_a_line_each_and_their_mean_is_the_blocks(command, how_many, mean):
    found = ended(command)
    assert found == Numbers(how_many, pytest.approx(mean), "")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo ops: 12", "it printed 'ops: 12': wants one number a line"),
        ("echo 1; echo nan; echo 2", "it printed 'nan': wants one number a line"),
        ("echo inf", "it printed 'inf': wants one number a line"),
        ("echo 1_000", "it printed '1_000': wants one number a line"),
        ("echo 1 2", "it printed '1 2': wants one number a line"),
        (r"printf '\377\n'", r"it printed '\\xff': wants one number a line"),
        ("echo 5; exit 3", "exit status 3"),
        ("kill -9 $$", "exit status 137"),
        ("no-such-command-here", "exit status 127"),
        ("true", "no number"),
    ],
)
def test_what_gives_no_number_says_why(command, why):
    assert ended(command).why == why


def test_a_line_without_an_end_is_not_kept_for_ever():
    found = ended(f"head -c {20 * LINE} /dev/zero | tr '\\0' 1")
    assert found.why == f"a line of over {LINE} bytes: wants one number a line"


def test_one_that_runs_on_has_what_it_printed_by_then(tmp_path: Path):
    flag = tmp_path / "flag"
    found = ended(f"echo 5; echo 7; touch {flag}; printf 9; sleep 600", until=flag.exists)
    assert found.how_many == 2
    assert (found.mean, found.why) == (6.0, "")


def test_one_that_printed_nothing_by_then_timed_out(tmp_path: Path):
    flag = tmp_path / "flag"
    found = ended(f"touch {flag}; sleep 600", until=flag.exists)
    assert found.why == "no number by the end of the block"


def test_one_that_never_stops_printing_holds_nobody_up(tmp_path: Path):
    flag = tmp_path / "flag"
    found = ended(f"echo 3; touch {flag}; yes 3", until=flag.exists)
    assert (found.mean, found.why) == (3.0, "")


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def test_at_its_end_all_of_a_pipeline_is_gone(tmp_path: Path):
    pids = tmp_path / "pids"
    ended(
        f"sleep 600 | sh -c 'echo $$ >{pids}.new; mv {pids}.new {pids}; echo 1; sleep 600' | cat",
        until=pids.exists,
    )
    pid = int(pids.read_text())
    end = time.monotonic() + 90
    while not gone(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_has_nothing_to_read_no_terminal_and_no_descriptor_of_ours():
    assert ended("cat | wc -c; test -t 0 && echo bad; true") == Numbers(1, 0.0, "")
    given = [fd for fd in open_now() if fd > 2 and handed_on(fd)]
    listed = 1  # the directory that ls has open
    assert ended("ls /proc/self/fd").how_many == 3 + listed + len(given)


def open_now() -> list[int]:
    """Our own descriptors."""
    return [int(path.name) for path in Path("/proc/self/fd").iterdir()]


def handed_on(descriptor: int) -> bool:
    """Whether every program that is executed has it: whoever started the tests left it so."""
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


@needs_root
def test_it_runs_as_the_user_who_called_sudo_and_gains_no_rights():
    sudo = {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    assert ended("id -u; id -g", **sudo) == Numbers(2, 65534.0, "")
    assert ended("awk '/NoNewPrivs/ {print $2}' /proc/self/status", **sudo) == Numbers(1, 1.0, "")
    assert ended("env | grep -c '^SUDO_'; true", **sudo) == Numbers(1, 0.0, "")


KILLED = """
import sys, time
from pghot.linux.processes.metric_command import MetricCommand
metric = MetricCommand("echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600")
metric.start()
time.sleep(600)
"""


@pytest.mark.parametrize("sudo", [False, pytest.param(True, marks=needs_root)])
def test_it_does_not_outlive_us_however_we_end(tmp_path: Path, sudo: bool):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    pids = tmp_path / "pid"
    environ = dict(os.environ)
    if sudo:
        environ |= {"SUDO_UID": "65534", "SUDO_GID": "65534", "SUDO_USER": "nobody"}
    script = [sys.executable, "-c", KILLED.format(pids)]
    with subprocess.Popen(script, env=environ) as ours:
        end = time.monotonic() + 90
        while not pids.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        ours.send_signal(signal.SIGKILL)
    pid = int(pids.read_text())
    while not gone(pid):
        assert time.monotonic() < end
        time.sleep(0.01)
