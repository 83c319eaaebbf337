"""How much room a live target has, between two readings of /proc/zoneinfo."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.linux.nodes.topology import read_topology
from pghot.live import machine
from pghot.live.machine import HostMachine
from tests.live.world import FAST, SLOW

MIN = 100
KEPT = 150
"""Half way between the zones' min and low watermarks."""


class Moves:
    """Takes all folios, or leaves the last behind; nothing of it shows in the zones."""

    def __init__(self):
        self.leaves_one = False

    def move(self, pfns, _nid):
        moved = np.ones(len(pfns), np.bool_)
        moved[-1] = not self.leaves_one
        return moved


@pytest.fixture
def readings(monkeypatch):
    told = []
    read = machine.read_again

    def counted(host, zones):
        told.append(host)
        return read(host, zones)

    monkeypatch.setattr(machine, "read_again", counted)
    return told


@pytest.fixture
def moves():
    return Moves()


@pytest.fixture
def host(world, moves, readings):
    world.free[FAST] = KEPT + 8000
    made = HostMachine(world, read_topology(world), moves)
    readings.clear()
    return made


def pages(host, count):
    start = host._ranges[SLOW][0].start
    return np.arange(start, start + count, dtype=np.uint64)


def test_what_moved_is_taken_from_the_room_there_was(host, readings):
    assert host.headroom(FAST) == 8000
    host.migrate(pages(host, 600), FAST)
    assert host.headroom(FAST) == 7400
    ((free, _promo),) = [(zone.free_pages, zone.promo_wmark) for zone in host.zones(FAST)]
    assert free == KEPT + 7400
    assert len(readings) == 1


def test_folios_take_the_room_of_all_their_pages(host):
    host.headroom(FAST)
    head = pages(host, 1024)[-512:][:1]
    assert head[0] % 512 == 0
    host.learn(head, np.array([512], np.uint64), np.zeros(1, np.uint64))
    host.migrate(head, FAST)
    assert host.headroom(FAST) == 8000 - 512


def test_once_an_eighth_of_the_room_has_gone_it_is_read_anew(host, world, readings):
    host.headroom(FAST)
    for left in (7500, 7000):
        host.migrate(pages(host, 500), FAST)
        assert host.headroom(FAST) == (left if left == 7500 else 8000)
    assert len(readings) == 2
    world.free[FAST] = KEPT + 100
    host.migrate(pages(host, 1001), FAST)
    assert host.headroom(FAST) == 100


def test_so_it_is_after_a_refusal_and_at_a_wake_up(host, moves, readings):
    host.headroom(FAST)
    host.look_again()
    host.headroom(FAST)
    assert len(readings) == 2
    moves.leaves_one = True
    host.migrate(pages(host, 10), FAST)
    host.headroom(FAST)
    assert len(readings) == 3


def test_what_more_has_moved_than_there_was_room_for_is_no_debt(host, world):
    world.free[FAST] = KEPT + 60
    assert host.headroom(FAST) == 60
    host.migrate(pages(host, 600), FAST)
    assert host.headroom(FAST) == 60  # as it is read anew


@pytest.mark.parametrize(
    ("free", "room"), [(KEPT, 25), (MIN + 20, 10), (MIN + 1, 0), (MIN - 7, 0)]
)
def test_where_hardly_any_is_free_half_of_it_is_asked_for_for_that_wakes_kswapd(
    host, world, free, room
):
    world.free[FAST] = free
    assert host.headroom(FAST) == room


def test_so_much_is_asked_for_once_at_each_wake_up(host, world, monkeypatch):
    monkeypatch.setattr(machine, "WAKING", 10)
    world.free[FAST] = KEPT
    for _ in range(2):
        host.look_again()
        assert host.headroom(FAST) == 10
        host.migrate(pages(host, 7), FAST)
        assert host.headroom(FAST) == 3
        host.migrate(pages(host, 3), FAST)
        assert host.headroom(FAST) == 0
