"""A host is looked at beside a run; the loop takes in what was found between two wake-ups."""

from __future__ import annotations

from threading import get_ident

import pytest

from pghot.errors import PghotError
from pghot.linux.nodes.topology import Topology
from pghot.linux.processes.following import Change
from pghot.live import follower as follower_module
from pghot.live.beside_thread import in_thread
from pghot.live.clock import Clock
from pghot.live.follower import HOST_US, SHARE, TARGETS_US, CpusChanged, Follower, Told
from pghot.live.options import LiveOptions
from pghot.live.session import open_session
from tests.linux.host_trees import write
from tests.live.world import MS, Source, World, run, state_in

ONLINE = "/sys/devices/system/cpu/online"


@pytest.fixture
def world(tmp_path, monkeypatch):
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    write(world.root, ONLINE, "0-1")
    return world


@pytest.fixture
def session(world):
    with open_session(world, LiveOptions(pids=(40,)), lambda name, _host: Source(name)) as session:
        yield session


class At:
    """A time that is set."""

    us = 0

    def __call__(self) -> int:
        return self.us


@pytest.fixture
def now():
    return At()


@pytest.fixture
def follower(session, now):
    return Follower(session, now)


def test_processes_and_the_host_are_looked_at_when_it_is_time(follower, now):
    assert follower.look() == TARGETS_US
    assert follower.take() == []
    now.us = TARGETS_US
    follower.look()
    assert [type(found) for found in follower.take()] == [Change]
    now.us = HOST_US
    follower.look()
    assert [type(found) for found in follower.take()] == [Change, Topology]


def test_what_the_kernel_tells_of_is_looked_at_soon(follower, now):
    follower.call_for("host")
    now.us = follower.look()
    assert now.us < TARGETS_US
    follower.look()
    assert [type(found) for found in follower.take()] == [Topology]


def test_a_look_that_takes_long_is_not_repeated_soon(follower, now, monkeypatch):
    read = follower_module.read_topology

    def slowly(*args, **options):
        now.us += 3_000_000
        return read(*args, **options)

    monkeypatch.setattr(follower_module, "read_topology", slowly)
    now.us = HOST_US
    follower.look()
    follower.take()
    for at_us in range(now.us, HOST_US + SHARE * 3_000_000, 10_000_000):
        now.us = at_us
        follower.look()
        assert not [found for found in follower.take() if isinstance(found, Topology)]


def test_cpus_that_came_are_told_once(follower, now, world):
    write(world.root, ONLINE, "0-3")
    for now.us in (HOST_US, 2 * HOST_US):
        follower.look()
    assert [found for found in follower.take() if found == CpusChanged()] == [CpusChanged()]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(2, "No such file or directory", "/sys/x"), "/sys/x: No such file or"),
        (OSError(5, "Input/output error"), "the host: Input/output error"),
        (PghotError("nodes 0 and 1 overlap"), "nodes 0 and 1 overlap"),
        (ValueError("invalid literal"), "the host cannot be read as it is now: invalid literal"),
    ],
)
def test_what_cannot_be_read_as_it_changes_is_one_line(follower, now, monkeypatch, error, line):
    def fails(*_args, **_options):
        raise error

    monkeypatch.setattr(follower_module, "read_topology", fails)
    now.us = HOST_US
    follower.look()
    told = [found.line for found in follower.take() if isinstance(found, Told)]
    assert len(told) == 1
    assert told[0].startswith(line)


def test_a_mistake_of_pghots_own_is_raised_where_the_run_is(follower, now, monkeypatch):
    monkeypatch.setattr(follower_module, "read_topology", None)
    now.us = HOST_US
    follower.look()
    with pytest.raises(TypeError):
        follower.take()


def test_a_host_that_cannot_be_read_for_a_while_is_told_once_and_the_run_goes_on(world):
    zones = world.nodes

    def lose():
        world.nodes = ()  # /proc/zoneinfo is empty, as no kernel has it

    def find():
        world.nodes = zones

    for page in range(100, 110):
        world.map(40, page)
    world.clock.at(4900 * MS, lose)
    world.clock.at(5150 * MS, find)
    world.heat(40, *range(100, 110), start_ms=6000)
    result, heard, _status = run(world, LiveOptions(pids=(40,), duration=7))
    assert result.state.live.ended == "the time was up"
    assert result.state.accesses > 0
    assert len(heard.lines) == len(set(heard.lines))


def test_cpus_that_come_during_a_run_are_followed_by_its_sources(world, monkeypatch):
    followed = []
    monkeypatch.setattr(Source, "follow_cpus", lambda _: followed.append(world.clock.now_us()))
    world.clock.at(1000 * MS, lambda: write(world.root, ONLINE, "0-3"))
    run(world, LiveOptions(pids=(40,), duration=12))
    assert len(followed) == 1
    assert followed[0] >= HOST_US


def test_a_child_that_nobody_told_of_is_found_beside(world):
    def child():
        world.process(41, ppid=40, starttime=2000)
        for page in range(300, 310):
            world.map(41, page)

    world.clock.at(500 * MS, child)
    world.heat(41, *range(300, 310), start_ms=1500, times=1)
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=3))
    assert result.state.accesses == 10


def test_a_run_whose_last_target_ends_unheard_ends_within_a_look(world):
    world.clock.at(1500 * MS, lambda: world.exit(40, told=False))
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=60))
    assert result.state.live.ended == "the targets ended"
    assert result.state.live.real_s <= 3 * TARGETS_US / 1e6


def test_in_a_run_of_real_time_another_thread_looks(session):
    clock = Clock()
    follower = Follower(session, clock.now_us)
    looked: list[int] = []
    follower.look = lambda: looked.append(get_ident()) or clock.now_us() + 1000
    with in_thread(follower, session, clock.now_us):
        while len(looked) < 3:
            clock.wait_until(clock.now_us() + 1000, [])
    count = len(looked)
    assert set(looked) != {get_ident()}
    clock.wait_until(clock.now_us() + 5000, [])
    assert len(looked) == count  # it has ended
