"""Rows as the engine gets them: in time order, each once, none before its instant is due."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pghot.linux.nodes.topology import read_topology
from pghot.linux.processes.targets import Everything, Pids
from pghot.live.machine import HostMachine
from pghot.live.reorder_buffer import ReorderBuffer
from tests.linux import host_trees
from tests.live.world import FIRST_FREE, PAGE, SLOW, Source, World, state_in

START_NS = 7_000_000_000
STEP_US = 100_000


class Nobody:
    def move(self, *_):
        raise AssertionError


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A maker of pumps over two sources of one host, on which process 40 runs."""
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    world.process(41)
    machine = HostMachine(world, read_topology(world), Nobody())

    def make():
        sources = [Source("hintfault"), Source("hwhint")]
        for source in sources:
            source.enable()
        targets = Pids([40])
        targets.resolve(world)
        return sources, ReorderBuffer(sources, targets, machine, START_NS)

    return make


class Access(NamedTuple):
    """An access as a sample says it: microseconds since the start, its source, whose it is."""

    us: int
    ns: int = 0
    source: int = 0
    pid: int = 40


@st.composite
def polls(draw):
    """The drains before each wake-up, and the accesses that each drain finds.

    A drain finds what happened since, what a slow CPU's ring kept back for two steps, and
    what is only due at the next wake-up.
    """
    found = []
    for k in range(draw(st.integers(1, 6))):
        due = (k + 1) * STEP_US
        access = st.builds(
            Access,
            us=st.one_of(
                st.integers(max(-5, due - 3 * STEP_US), due + STEP_US),
                st.sampled_from([due - STEP_US, due - STEP_US + 1, due, due + 1]),
            ),
            ns=st.integers(0, 999),
            source=st.integers(0, 1),
            pid=st.sampled_from([40, 40, 40, 41]),
        )
        found.append(draw(st.lists(st.lists(access, max_size=5), min_size=1, max_size=3)))
    return found


def drained(buffer, sources, accesses, number):
    """Let the sources have seen these and the buffer drain them; pages tell accesses apart."""
    for access in accesses:
        time_ns = START_NS + access.us * 1000 + access.ns
        pfn = FIRST_FREE[SLOW] + number
        sources[access.source].see(time_ns, access.pid, number * PAGE, pfn, 0)
        number += 1
    buffer.drain()
    return number


def told(rows):
    return list(zip(rows["time_us"].tolist(), (rows["vaddr"] // PAGE).tolist(), strict=True))


def expected(polls):
    """One access at a time: rows of each wake-up, and how many came late."""
    held, given_us, late, number, rows = [], 0, 0, 0, []
    for k, drains in enumerate(polls):
        for accesses in drains:
            numbered = [(access, number + i) for i, access in enumerate(accesses)]
            number += len(accesses)
            for source in range(2):
                ours = [(a, n) for a, n in numbered if (a.source, a.pid) == (source, 40)]
                for access, n in sorted(ours, key=lambda one: (one[0].us, one[0].ns)):
                    us = max(access.us, 0)
                    if given_us and us <= given_us:
                        late += 1
                        us = given_us + 1
                    held.append((us, n))
        given_us = (k + 1) * STEP_US
        held.sort(key=lambda row: row[0])
        rows.append([row for row in held if row[0] <= given_us])
        held = [row for row in held if row[0] > given_us]
    return rows, held, late


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(polls=polls())
def test_rows_come_in_time_order_each_once_and_late_ones_just_after_their_instant(made, polls):
    sources, buffer = made()
    rows, held, late = expected(polls)
    number = before = 0
    for k, drains in enumerate(polls):
        for accesses in drains:
            number = drained(buffer, sources, accesses, number)
        instant = (k + 1) * STEP_US
        got = told(buffer.until(instant))
        assert got == rows[k]
        times = [us for us, _ in got]
        assert times == sorted(times)
        assert all(before < us <= instant for us in times if before)
        before = instant
    assert told(buffer.until(1 << 40)) == held
    assert buffer.late == late
    all_ours = sum(a.pid == 40 for drains in polls for accesses in drains for a in accesses)
    assert sum(map(len, rows)) + len(held) == all_ours
    assert buffer.left_out["of other processes"] == number - all_ours


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    times=st.lists(st.integers(0, 5 * STEP_US), min_size=1, max_size=30, unique=True),
    cuts=st.lists(st.integers(0, 5 * STEP_US), max_size=6),
)
def test_how_often_the_rings_are_drained_makes_no_difference(made, times, cuts):
    """As long as each sample is drained before its instant is due."""
    often, once = [], []
    sources, buffer = made()
    drained(buffer, sources, [Access(us) for us in sorted(times)], 0)
    for k in range(5):
        once += told(buffer.until((k + 1) * STEP_US))
    sources, buffer = made()
    number, start = 0, -1
    for end in sorted({*cuts, *(STEP_US * (k + 1) for k in range(5))}):
        accesses = [Access(us) for us in sorted(times) if start < us <= end]
        number = drained(buffer, sources, accesses, number)
        start = end
        if not end % STEP_US and end:
            often += told(buffer.until(end))
    assert often == once
    assert buffer.late == 0


def test_a_row_that_came_late_is_recorded_after_what_its_wake_up_has_had(made):
    sources, buffer = made()
    drained(buffer, sources, [Access(90_000)], 0)
    assert told(buffer.until(STEP_US)) == [(90_000, 0)]
    drained(buffer, sources, [Access(50_000), Access(150_000), Access(100_000)], 1)
    assert told(buffer.until(2 * STEP_US)) == [(100_001, 1), (100_001, 3), (150_000, 2)]
    assert buffer.late == 2
    assert np.issubdtype(buffer.until(3 * STEP_US)["time_us"].dtype, np.uint64)


def test_accesses_from_before_the_start_count_as_at_the_start(made):
    sources, buffer = made()
    drained(buffer, sources, [Access(-3, 400)], 0)
    assert told(buffer.until(STEP_US)) == [(0, 0)]
    assert buffer.late == 0


@pytest.fixture
def of_large_pages(tmp_path):
    """A source and a buffer on an arm64 host with pages of 64 KiB, of which all is watched."""
    host = host_trees.host(host_trees.arm64, tmp_path)
    machine = HostMachine(host, read_topology(host), Nobody())
    source = Source("hwhint")
    source.enable()
    return source, ReorderBuffer([source], Everything(), machine, START_NS)


def test_on_a_host_of_64_kib_pages_a_row_is_of_the_4_kib_that_were_touched(of_large_pages):
    source, buffer = of_large_pages
    source.see(START_NS, 40, 0x7_0000 + 5 * PAGE + 24, 131_072 + 3, 0)
    buffer.drain()
    assert buffer.until(STEP_US)["pfn"].tolist() == [(131_072 + 3) * 16 + 5]


def test_memory_of_no_node_makes_no_row_and_is_counted(of_large_pages):
    source, buffer = of_large_pages
    source.see(START_NS, 40, 0x7_0000, 1 << 30, 0)
    buffer.drain()
    assert len(buffer.until(STEP_US)["pfn"]) == 0
    assert buffer.left_out["in no node's memory"] == 1


def test_a_source_of_another_package_may_give_other_kinds_of_arrays(made) -> None:
    sources, buffer = made()
    wanted, other = (drain_of(buffer, sources, kind) for kind in (None, np.int64))
    assert len(wanted["pfn"]) == 3
    for name, values in wanted.items():
        assert values.dtype == other[name].dtype
        if name != "time_us":
            assert np.array_equal(values, other[name])


def drain_of(buffer, sources, kind):
    """The rows of a drain whose samples are of a kind, every other item of an array."""
    source, until = sources[0], buffer._given_us + STEP_US
    for number in range(3):
        time_ns = START_NS + (until - 10 + number) * 1000
        source.see(time_ns, 40, number * PAGE, FIRST_FREE[SLOW] + number, 0)
    if kind is not None:
        given = source.drain()
        apart = (np.repeat(column, 2).astype(kind)[::2] for column in given[:-1])
        source.drain = lambda: type(given)(*apart)
    buffer.drain()
    return buffer.until(until)
