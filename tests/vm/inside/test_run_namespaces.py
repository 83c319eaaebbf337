"""`pghot run` on a stock kernel with containers: pids of one pid namespace, capabilities."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.vm import commands, daemon, load
from tests.vm.promotion import fast, wait_for, wait_until_fast, wait_until_pages_fast

pytestmark = pytest.mark.usefixtures("settings_come_back")

BUSY = ("--pause-us", "0")
CAPABILITIES = ("sys_admin", "sys_nice", "sys_ptrace", "cap_38", "dac_read_search")
"""What docs/roll-out.md says that a container needs; cap_38 is CAP_PERFMON."""

WITH_THESE = ("setpriv", f"--bounding-set=-all,{','.join(f'+{name}' for name in CAPABILITIES)}")


@contextmanager
def container() -> Iterator[tuple[str, ...]]:
    """A pid namespace of its own: words that enter it, with its /proc in a mount namespace.

    The guest's root is a chroot, which `nsenter --mount` would leave, and from which no user
    namespace can be made: that one is refused in made trees alone.
    """
    words = ("unshare", "--pid", "--fork", "--kill-child")
    init = 0
    with subprocess.Popen([*words, "sleep", "infinity"]) as process:
        try:
            wait_for(lambda: "" if children(process.pid) else "no process in the container")
            (init,) = children(process.pid)
            wait_for(lambda: "" if inner_pids(init)[-1:] == [1] else "no pid namespace")
            yield ("nsenter", "--target", str(init), "--pid", "unshare", "--mount-proc")
        finally:
            if init:
                os.kill(init, signal.SIGKILL)  # with it go all in its namespace
            process.kill()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def inner_pids(pid: int) -> list[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
    return [int(word) for word in line.split()[1:]]


@contextmanager
def entered(monkeypatch: pytest.MonkeyPatch, path: Path, *words: str) -> Iterator[None]:
    """Meanwhile `pghot` is started by these words."""
    path.write_text(f'#!/bin/sh\nexec {" ".join(words)} {commands.PGHOT} "$@"\n')
    path.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(commands, "PGHOT", str(path))
        yield


def test_in_a_container_with_pids_of_its_own_and_few_capabilities_its_processes_are_promoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container() as enter, load.running(16, 4, options=BUSY, prefix=enter) as process:
        (here,) = children(process.process.pid)
        assert inner_pids(here) == [here, process.pid]
        hot, cold = process.addresses(16)
        with (
            entered(monkeypatch, tmp_path / "pghot", *enter, *WITH_THESE),
            daemon.running(*daemon.PATIENT, "-p", str(process.pid)) as pghot,
        ):
            pghot.wait_until_watching()
            wait_until_pages_fast(here, hot)
            cold_moved = fast(here, cold)
            (run,) = children(pghot.process.pid)
            os.kill(run, signal.SIGTERM)
            live = pghot.result()["live"]
    assert cold_moved <= 0.01 * len(cold)
    print(f"promoted {live['promoted_pages']}, refused {live['refused']}, {live['left_out']}")


def test_from_outside_a_containers_process_is_watched_by_its_pid_here_and_no_other() -> None:
    with container() as enter, load.running(16, 4, options=BUSY, prefix=enter) as process:
        before = daemon.settings()
        inside, (here,) = process.pid, children(process.process.pid)
        refused = daemon.pghot("run", "-p", str(inside))
        assert refused.returncode == 2
        assert f" {here} (load)" in refused.stderr
        assert daemon.settings() == before
        process.pid = here
        hot, cold = process.addresses(16)
        with daemon.running(*daemon.PATIENT, "-p", str(here)) as pghot:
            pghot.wait_until_watching()
            wait_until_fast(process, hot)
            live = pghot.stop()["live"]
        assert fast(here, cold) <= 0.01 * len(cold)
    print(f"{refused.stderr.strip()}; promoted {live['promoted_pages']}")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--pid", "--fork"), "/proc is of another pid namespace"),
        (("--time", "--fork", "--monotonic", "86400"), "CLOCK_MONOTONIC is 86400 s and 0 ns"),
    ],
    ids=["another's proc", "another's clock"],
)
def test_where_pids_or_times_are_not_the_hosts_a_run_is_refused_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], why: str
) -> None:
    before = daemon.settings()
    with entered(monkeypatch, tmp_path / "pghot", "unshare", *words):
        refused = daemon.pghot("run", "-a")
    assert refused.returncode == 1
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert daemon.settings() == before
    print(refused.stderr.strip())
