"""Changes of which this kernel tells: an end by its pidfd, a group by inotify, uevents."""

from __future__ import annotations

import subprocess
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest

from pghot.linux.change_signals import HOST, PROCESSES, ChangeSignals, Uevent, parse_uevent

FOREVER_S = 3600.0


def until_told(signals: ChangeSignals, what: str) -> None:
    """Wait until it is told; this machine's own changes may be told of before."""
    while what not in signals.wait(FOREVER_S):
        pass


def test_the_end_of_a_process_is_told_and_once() -> None:
    with (
        subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process,
        closing(ChangeSignals([process.pid])) as signals,
    ):
        if PROCESSES not in signals.kinds:
            pytest.skip("this kernel has no pidfds")
        process.communicate()
        until_told(signals, PROCESSES)
        assert PROCESSES not in signals.wait(0)


def test_a_group_made_below_and_a_group_that_empties_are_told(tmp_path: Path) -> None:
    (tmp_path / "cgroup.events").write_text("populated 1\n")
    with closing(ChangeSignals(group=str(tmp_path))) as signals:
        if PROCESSES not in signals.kinds:
            pytest.skip("no inotify here")
        (tmp_path / "below").mkdir()
        until_told(signals, PROCESSES)
        (tmp_path / "cgroup.events").write_text("populated 0\n")
        until_told(signals, PROCESSES)


def test_waiting_ends_when_it_is_interrupted_and_tells_nothing() -> None:
    with closing(ChangeSignals()) as signals:
        heard: list[set[str]] = []
        thread = Thread(target=lambda: heard.append(signals.wait(FOREVER_S) - {HOST}))
        thread.start()
        signals.interrupt()
        thread.join()
        assert heard == [set()]


def test_who_has_ended_already_is_not_waited_for() -> None:
    with closing(ChangeSignals([(1 << 22) - 1])) as signals:
        assert PROCESSES not in signals.kinds


def test_closing_twice_is_closing_once() -> None:
    signals = ChangeSignals()
    signals.close()
    signals.close()


def test_a_uevent_names_its_subsystem_and_what_it_is_about() -> None:
    message = (
        b"online@/devices/system/memory/memory32\0ACTION=online\0"
        b"DEVPATH=/devices/system/memory/memory32\0SUBSYSTEM=memory\0SEQNUM=4711\0"
    )
    assert parse_uevent(message) == Uevent("memory", "memory32")


@pytest.mark.parametrize("message", [b"", b"\0", b"libudev\0\xfe\xed", b"x@/a/b\0NO\0"])
def test_what_is_no_uevent_is_of_no_subsystem(message: bytes) -> None:
    assert parse_uevent(message).subsystem == ""
