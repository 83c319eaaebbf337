"""Accesses from outside: who may write, what they become, and that nothing is lost untold."""

from __future__ import annotations

import os
import select
import socket
import stat
from itertools import count

import numpy as np
import pytest

from pghot.driving.run_state import SourceCounts
from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.linux.pages import reverse_map
from pghot.linux.processes.targets import Everything, Pids
from pghot.sources import bare_frames, external, writers
from pghot.sources.access_form import LONGEST_LINE, MAGIC
from pghot.sources.choose import choose
from pghot.sources.external import External, ExternalSource
from pghot.sources.hint_faults import NUMA_BALANCING, RATE_LIMIT
from pghot.sources.registry import find
from tests.linux.host_trees import write
from tests.linux.perf_rig import machine, put
from tests.live.world import HUGE, PAGE, World
from tests.sources.feeding import (
    binary,
    connect,
    connections,
    send,
    send_binary,
    write_maps,
)

__all__ = ["connections"]

SECOND = 10**9


@pytest.fixture
def world(tmp_path) -> World:
    world = World(tmp_path / "host")
    for pid in (40, 41):
        world.process(pid)
    return world


@pytest.fixture
def source(world, tmp_path):
    """A source at tmp_path/feed.sock whose target is process 40, in the world's time."""
    source = ExternalSource(world, tmp_path / "feed.sock", world.clock.now_ns)
    targets = Pids([40])
    targets.resolve(world)
    source.watch(targets)
    source.enable()
    yield source
    source.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.sock"


def rows(samples) -> list[tuple[int, int, int, int]]:
    """Process, page, frame and count of each."""
    pages = (samples.vaddr // np.uint64(PAGE)).tolist()
    return list(
        zip(samples.pid.tolist(), pages, samples.pfn.tolist(), samples.nr.tolist(), strict=True)
    )


# Finding it.


def test_it_is_used_where_its_socket_is_named_and_else_not(tmp_path) -> None:
    put(tmp_path, NUMA_BALANCING, "0")
    put(tmp_path, RATE_LIMIT, "65536")
    host = Host(machine(tmp_path, "amd_zen4"))
    assert choose(host).names == ("hintfault", "hwhint")
    choice = choose(host, ["external:/run/feed.sock", "hwhint"])
    assert choice.names == ("hwhint", "external:/run/feed.sock")
    assert "accesses from outside: the socket /run/feed.sock" in choice.reason


def test_its_path_is_wanted() -> None:
    for name in ("external", "external:"):
        with pytest.raises(InputError, match="wants a socket, as in external:/run/"):
            find(name)


def test_two_of_it_would_share_their_figures(tmp_path) -> None:
    host = Host(machine(tmp_path, "virtual"))
    with pytest.raises(InputError, match="external:/a and external:/b both report as external"):
        choose(host, ["external:/a", "external:/b"])


def test_it_has_a_name_of_its_own_and_counts_as_hardware_hints(source) -> None:
    assert (source.name, source.reports_as) == ("external", "hwhint")


# Who may write.


def test_its_socket_is_its_owners_alone_and_goes_with_it(source, path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)
    source.close()
    assert not path.exists()


def test_what_is_there_already_is_left_alone(world, path) -> None:
    path.write_text("a letter")
    with pytest.raises(InputError, match="is there already and is no socket"):
        External(str(path)).open_source(world)
    assert path.read_text() == "a letter"


def test_a_place_that_is_not_there_is_refused(world, tmp_path) -> None:
    with pytest.raises(PghotError, match="cannot listen there"):
        External(str(tmp_path / "nowhere" / "feed.sock")).open_source(world)


def test_another_users_writer_is_turned_away_and_both_are_told(source, path, monkeypatch) -> None:
    monkeypatch.setattr(writers, "peer_of", lambda _client: (77, 12345))
    client = connect(path)
    source.drain()
    me = os.geteuid()
    assert source.notes == [
        f"external: the writer with pid 77: is of user 12345, not of {me}: turned away"
    ]
    assert client.recv(1000) == f"pghot: is of user 12345, not of {me}: turned away\n".encode()
    assert client.recv(1) == b""


def test_root_may_write_to_anybodys(source, path, monkeypatch) -> None:
    monkeypatch.setattr(writers, "peer_of", lambda _client: (77, 0))
    send(path, b"")
    source.drain()
    assert source.notes == []


def test_more_writers_than_there_may_be_are_turned_away(source, path, monkeypatch) -> None:
    monkeypatch.setattr(writers, "MOST_WRITERS", 2)
    clients = [connect(path) for _ in range(3)]
    source.drain()
    assert source.notes == [
        f"external: the writer with pid {os.getpid()}: turned away: 2 write already"
    ]
    assert clients[2].recv(1000).endswith(b"2 write already\n")


# What accesses become.


def test_an_address_becomes_the_frame_that_is_there(world, source, path) -> None:
    pfn = world.map(40, 100)
    send_binary(path, {"pid": 40, "where": 100 * PAGE + 24, "nr": 3, "nid": 1, "time_ns": 5})
    samples = source.drain()
    assert rows(samples) == [(40, 100, pfn, 3)]
    assert (samples.nid.tolist(), samples.cpu.tolist()) == ([1], [-1])
    assert (samples.time_ns.tolist(), samples.write.tolist()) == ([5], [False])
    assert source.counts == SourceCounts(seen=1)


def test_accesses_come_in_the_order_of_time_those_without_as_of_now(world, source, path) -> None:
    world.map(40, 100, pages=1)
    now = world.clock.now_ns()
    send(path, f"{now} 40:0x64000\n- 40:0x64001\n7 40:0x64002 -1 1 1 w\n".encode())
    samples = source.drain()
    assert samples.time_ns.tolist() == [7, now, now]
    assert samples.write.tolist() == [True, False, False]


def test_an_address_without_a_page_is_counted(world, source, path) -> None:
    world.map(40, 100)
    send(path, b"- 40:0x65000\n- 40:0x64000\n")
    assert len(source.drain().pid) == 1
    assert source.counts == SourceCounts(seen=2, unresolved=1)


def test_a_process_that_is_no_target_is_left_to_be_counted_as_none(world, source, path) -> None:
    world.map(41, 100)
    send(path, b"- 41:0x64000\n")
    assert rows(source.drain()) == [(41, 100, 0, 1)]


def test_a_bare_frame_becomes_the_targets_page_that_it_is(world, source, path) -> None:
    pfns = [world.map(40, page) for page in range(100, 110)]
    write_maps(world)
    send_binary(path, {"where": pfns[7], "nr": 2}, {"where": pfns[2]}, {"where": pfns[7]})
    assert rows(source.drain()) == [
        (40, 107, pfns[7], 2),
        (40, 102, pfns[2], 1),
        (40, 107, pfns[7], 1),
    ]
    assert source.counts == SourceCounts(seen=3)


def test_a_frame_of_no_target_is_counted_as_not_found(world, source, path) -> None:
    world.map(40, 100)
    other = world.map(41, 100)
    write_maps(world)
    write_maps(world, 41)
    send(path, f"- {other}\n- {other}\n".encode())
    found = [len(source.drain().pid) for _ in range(2)]
    assert (found, source.counts) == ([0, 0], SourceCounts(seen=2, not_found=2))


def test_with_every_process_a_target_all_are_looked_through(world, source, path) -> None:
    pfn = world.map(41, 100)
    write_maps(world, 41)
    everything = Everything()
    everything.resolve(world)
    source.watch(everything)
    send(path, f"- {pfn}\n".encode())
    assert rows(source.drain()) == [(41, 100, pfn, 1)]


def test_a_frame_that_another_has_by_now_is_looked_for_anew(world, source, path) -> None:
    pfn = world.map(40, 100)
    write_maps(world)
    send(path, f"- {pfn}\n".encode())
    source.drain()
    world.unmap(40, 100)
    assert world.map(40, 104) == pfn
    write_maps(world)
    world.clock.ns += 2 * SECOND
    send(path, f"- {pfn}\n".encode())
    assert rows(source.drain()) == [(40, 104, pfn, 1)]


def test_page_tables_are_gone_through_for_a_small_share_of_the_time(world, source, path) -> None:
    """Frames that come between wait; they are neither lost nor found too early."""
    first, second = world.map(40, 100), world.map(40, 101)
    write_maps(world)
    looks = count(step=1000)  # each look at the clock costs a microsecond
    source._frames._rmap._clock = lambda: world.clock.now_ns() + next(looks)
    send(path, f"- {first}\n".encode())
    assert len(source.drain().pid) == 1
    client = send(path, f"- {second}\n".encode())
    assert len(source.drain().pid) == 0
    assert (source.rest_us, source.counts.not_found) == (external.REST_US, 0)
    world.clock.ns += SECOND
    found = [rows(source.drain()) for _ in range(3)]
    assert found == [[], [(40, 101, second, 1)], []]
    client.close()


def test_frames_that_wait_are_so_many_at_the_most_and_the_others_lost(
    source, path, monkeypatch
) -> None:
    monkeypatch.setattr(bare_frames, "MOST_HELD", 2)
    monkeypatch.setattr(reverse_map.ReverseMap, "_work", lambda _self: None)
    send(path, b"- 0x100000\n" * 5)
    source.drain()
    assert source.counts == SourceCounts(seen=5, lost=3)
    assert "come faster than their processes can be found" in source.notes[0]


def test_a_range_is_a_folio_each_once(world, source, path) -> None:
    huge = world.map(40, 1024, pages=HUGE)
    small = [world.map(40, 1536 + page) for page in range(3)]
    write_maps(world)
    send_binary(path, {"pid": 40, "where": 1030 * PAGE, "pages": 509, "nr": 7})
    assert rows(source.drain()) == [
        (40, 1030, huge + 6, 7),
        *((40, 1536 + page, small[page], 7) for page in range(3)),
    ]
    send_binary(path, {"where": huge, "pages": HUGE})
    assert rows(source.drain()) == [(40, 1024, huge, 1)]
    assert source.counts == SourceCounts(seen=5)


def test_large_ranges_are_taken_in_bit_by_bit(world, source, path, monkeypatch) -> None:
    monkeypatch.setattr(external, "MOST_PAGES", 4)
    for page in range(100, 112):
        world.map(40, page)
    ranges = [{"pid": 40, "where": (100 + 3 * at) * PAGE, "pages": 3} for at in range(4)]
    send_binary(path, *ranges)
    assert [len(source.drain().pid) for _ in range(5)] == [3, 3, 3, 3, 0]
    assert source.rest_us is None


# What is wrong.


def test_bad_input_is_counted_the_first_of_it_told_and_the_rest_taken(world, source, path) -> None:
    world.map(40, 100)
    good = {"pid": 40, "where": 100 * PAGE}
    send_binary(path, good, good | {"nr": 0}, good, good | {"nid": 99})
    assert len(source.drain().pid) == 2
    assert source.counts == SourceCounts(seen=2, corrupt=2)
    assert source.notes == [
        f"external: the writer with pid {os.getpid()}: record 2: count 0: wants 1 or more"
    ]


def test_lines_are_numbered_over_all_that_was_written(source, path) -> None:
    client = send(path, b"# a remark\n- 40:0x64000\n")
    source.drain()
    client.sendall(b"\nhot page\n")
    source.drain()
    assert "line 4: 'hot page': wants TIME" in source.notes[0]


@pytest.mark.parametrize("at", range(1, 32 + 8))
def test_a_writer_that_dies_within_a_record_is_told(world, source, path, at) -> None:
    world.map(40, 100)
    content = MAGIC + binary({"pid": 40, "where": 100 * PAGE})
    client = send(path, content[:at])
    source.drain()
    client.close()
    source.drain()
    unfinished = at % 32 if at > len(MAGIC) else at
    rest = (at - len(MAGIC)) if at > len(MAGIC) else at
    assert (source.counts.seen, source.counts.corrupt) == (0, 1 if at != len(MAGIC) else 0)
    if at != len(MAGIC):
        assert f"ended within an access, {rest} bytes into it" in source.notes[0]
    assert unfinished >= 0


def test_a_line_without_its_end_is_not_taken_for_one(world, source, path) -> None:
    world.map(40, 100)
    send(path, b"- 40:0x64000 -1 1\n- 40:0x64000 -1 1").close()
    assert len(source.drain().pid) == 1
    assert source.counts.corrupt == 1


def test_what_is_neither_form_is_told_and_closed(source, path) -> None:
    client = send(path, b"\x7fELF" * LONGEST_LINE)
    source.drain()
    assert "neither lines of up to 256 bytes nor PGHOTAC1 and records" in source.notes[0]
    assert b"neither lines" in client.recv(1000)
    assert client.recv(1) == b""


def test_pieces_of_any_size_make_the_same_accesses(world, source, path) -> None:
    pfns = [world.map(40, page) for page in range(100, 110)]
    content = MAGIC + binary(*({"pid": 40, "where": page * PAGE} for page in range(100, 110)))
    client = connect(path)
    found = []
    for at in range(0, len(content), 7):
        client.sendall(content[at : at + 7])
        found += source.drain().pfn.tolist()
    assert found == pfns
    assert source.counts == SourceCounts(seen=10)


def test_a_writer_that_is_too_fast_waits_and_loses_nothing(
    world, source, path, monkeypatch
) -> None:
    monkeypatch.setattr(writers, "MOST_BYTES", 320)
    world.map(40, 100)
    send_binary(path, *[{"pid": 40, "where": 100 * PAGE}] * 40)
    found = 0
    while source.rest_us or not found:
        found += len(source.drain().pid)
    assert (found, source.counts.seen, source.counts.corrupt) == (40, 40, 0)
    assert source.counts.throttled == 4
    assert source.notes == [
        "external: writers wait now and then: they write faster than is taken in"
    ]


def test_a_writer_is_no_longer_waited_for_once_it_writes(world, source, path) -> None:
    """A wake-up a message would cost more than the messages."""
    world.map(40, 100)

    def waited_for() -> bool:
        poll = select.poll()
        for descriptor in source.descriptors:
            poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

    assert (waited_for(), source.rest_us) == (False, None)
    client = send(path, b"- 40:0x64000\n")
    assert waited_for()
    source.drain()
    assert (source.descriptors, source.rest_us) == ([], external.REST_US)
    source.drain()
    assert (waited_for(), source.rest_us) == (False, None)
    client.sendall(b"- 40:0x64000\n")
    assert waited_for()


def test_after_the_end_writers_find_their_connection_broken(source, path) -> None:
    client = send(path, b"# here\n")
    source.drain()
    source.disable()
    assert (source.descriptors, source.rest_us) == ([], None)
    source.close()
    with pytest.raises(BrokenPipeError):
        client.sendall(b"- 40:0x64000\n")


def test_a_node_that_comes_is_known_from_then_on(world, source, path) -> None:
    world.map(40, 100)
    send(path, b"- 40:0x64000 7\n")
    assert len(source.drain().pid) == 0
    write(world.root, external.ONLINE_NODES, "0-1,7")
    source.follow_cpus()
    send(path, b"- 40:0x64000 7\n")
    assert source.drain().nid.tolist() == [7]


def test_notes_are_so_many_at_the_most(source, path, monkeypatch) -> None:
    monkeypatch.setattr(external, "MOST_NOTES", 1)
    monkeypatch.setattr(writers, "peer_of", lambda client: (client.fileno(), 0))
    clients = [send(path, b"what\n") for _ in range(3)]
    source.drain()
    assert (len(source.notes), source.counts.corrupt) == (1, 3)
    assert isinstance(clients[0], socket.socket)
