"""When it is read where processes may have their memory (`live.placement`)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pghot.linux.host import Host
from pghot.live.placement import (
    CPUSET_NS,
    FIRST_NS,
    FORGOTTEN_NS,
    AllowedPlaces,
    OneByOne,
)
from tests.linux.host_trees import write


class Counting(Host):
    """A host that counts what is read of processes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def text(self, name: str) -> str:
        self.read.append(name.rpartition("/")[2])
        return super().text(name)


class Time:
    """A clock that goes when it is told."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def host(tmp_path: Path) -> Counting:
    write(tmp_path, "/proc/7/status", "Mems_allowed_list:\t0-1")
    return Counting(tmp_path)


def at_once(job: Callable[[], None]) -> None:
    job()


def test_a_process_is_read_when_it_is_first_accessed_and_again_when_it_is_time(host) -> None:
    now = Time()
    placement = AllowedPlaces(host, now, at_once)
    placement.notice([7])
    placement.notice([7])
    assert host.read == ["status", "numa_maps"]
    cpuset, policies = [0], [0]
    for now.ns in range(FIRST_NS, 100 * 10**9, FIRST_NS):
        before = len(host.read)
        placement.notice([7])
        cpuset += [now.ns] * ("status" in host.read[before:])
        policies += [now.ns] * ("numa_maps" in host.read[before:])
    assert [ns / 10**9 for ns in policies] == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5]
    assert max(np.diff(cpuset)) == CPUSET_NS


def test_policies_that_take_long_to_read_are_read_seldom(host) -> None:
    now = Time()

    class Slow(Counting):
        def text(self, name: str) -> str:
            if name.endswith("numa_maps"):
                now.ns += 10**10
            return super().text(name)

    slow = Slow(host.root)
    placement = AllowedPlaces(slow, now, at_once)
    placement.notice([7])
    now.ns = 19 * 10**10
    placement.notice([7])
    assert slow.read.count("numa_maps") == 1
    now.ns = 20 * 10**10
    placement.notice([7])
    assert slow.read.count("numa_maps") == 2


def test_until_it_is_read_nothing_is_known_and_afterwards_it_is(host) -> None:
    waiting: list[Callable[[], None]] = []
    placement = AllowedPlaces(host, Time(), waiting.append)
    placement.notice([7])
    placement.notice([7])
    assert (placement.of(7), len(waiting)) == (None, 1)
    waiting.pop()()
    rights = placement.of(7)
    assert rights is not None
    assert rights.mems == {0, 1}


def test_a_process_that_is_not_accessed_any_more_is_forgotten(host) -> None:
    now = Time()
    placement = AllowedPlaces(host, now, at_once)
    placement.notice([7])
    now.ns = FORGOTTEN_NS + 1
    placement.notice([8])
    assert placement.of(7) is None
    assert placement.of(8) is not None


def test_the_worker_does_it_in_a_thread_of_its_own() -> None:
    worker, done, names = OneByOne(), threading.Event(), []

    def job() -> None:
        names.append(threading.current_thread().name)
        done.set()

    worker.submit(job)
    assert done.wait(90)
    worker.close()
    assert names == ["pghot nodes"]


def test_without_a_thread_to_be_had_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    names: list[str] = []
    OneByOne().submit(lambda: names.append(threading.current_thread().name))
    assert names == ["MainThread"]
