"""What Arm's SPE samples, live: packets in AUX buffers, told by records in the ring beside."""

from __future__ import annotations

import errno
import mmap
import os
import struct

import numpy as np
import pytest

from pghot.driving.run_state import SourceCounts
from pghot.errors import PghotError
from pghot.linux.perf.arrays import EXIT, FORK
from pghot.linux.perf.aux_ring import AuxRing, Scale
from pghot.linux.perf.ring_size import RING_PAGES
from pghot.linux.processes.targets import Pids
from pghot.sources import data_src, hardware
from pghot.sources.spe import AUX_PAGES, SpeSource
from tests.linux.perf_rig import PerfHost, comm, fork, lost, record, trailer
from tests.linux.pmu_trees import pmu_tree
from tests.linux.proc_tree import PAGE
from tests.live.world import World
from tests.sources.feeding import write_maps

AUX, ITRACE_START = 11, 12
TRUNCATED, COLLISION = 1, 8
KERNEL = 0xFF_FFFF_8000_1000 & (1 << 56) - 1 | 0xF << 52
CAP_USER_TIME = 1 << 3

L1_HIT, L2_HIT, LLC_HIT, LLC_MISSED = (1 << 2, 1 << 2 | 1 << 3, 1 << 8 | 1 << 3, 3 << 8 | 1 << 3)
DRAM, L2, REMOTE = 0xE, 0x8, 0xD


def packets(when, virtual=None, physical=None, *, store=0, context=None, events=None, source=None):
    """One sampled operation: its packets, and the timestamp that ends them."""
    made = b"\xb0" + struct.pack("<Q", 0x40_0000) + bytes((0x49, store))
    if events is not None:
        made += b"\x62" + struct.pack("<I", events)
    if source is not None:
        made += b"\x43" + bytes((source,))
    made += b"\x98\x10\x00"
    if virtual is not None:
        made += b"\xb2" + struct.pack("<Q", virtual)
    if physical is not None:
        made += b"\xb3" + struct.pack("<Q", physical | 1 << 63)
    if context is not None:
        made += b"\x64" + struct.pack("<I", context)
    return made + b"\x71" + struct.pack("<Q", when)


class SpeHost(PerfHost):
    """A host whose rings have AUX buffers; `spe` writes packets there as a CPU and a kernel do."""

    def __init__(self, root, scale=(0, 1), **more):
        super().__init__(root, **more)
        self.scale = scale
        self.written = {}

    def perf_event_open(self, attr, pid, cpu, group=-1):
        descriptor = super().perf_event_open(attr, pid, cpu, group)
        os.ftruncate(descriptor, (1 + RING_PAGES + AUX_PAGES) * mmap.PAGESIZE)
        shift, mult = self.scale
        os.pwrite(descriptor, struct.pack("=Q", CAP_USER_TIME if mult else 0), 40)
        os.pwrite(descriptor, struct.pack("=HHI", 48, shift, mult), 48)
        return descriptor

    def spe(self, cpu, content, *, now, flags=0, told=True):
        ring = self.rings[cpu][0]
        size = AUX_PAGES * mmap.PAGESIZE
        at = self.written.get(cpu, 0)
        for offset, byte in enumerate(content):
            place = (1 + RING_PAGES) * mmap.PAGESIZE + (at + offset) % size
            os.pwrite(ring.descriptor, bytes((byte,)), place)
        self.written[cpu] = at + len(content)
        os.pwrite(ring.descriptor, struct.pack("=Q", at + len(content)), 1056)
        if told:
            body = struct.pack("=QQQ", at, len(content), flags) + trailer(now, cpu=cpu)
            ring.write(record(AUX, body))

    def aux_tail(self, cpu):
        raw = os.pread(self.rings[cpu][0].descriptor, 8, 1064)
        return struct.unpack("=Q", raw)[0]


@pytest.fixture
def made(tmp_path):
    """A maker of hosts with an SPE on four of eight CPUs, and of sources on them."""
    opened = []

    def make(scale=(0, 1), *, follow=False):
        World(tmp_path).process(40)  # kpageflags and a process for the reverse map
        host = SpeHost(pmu_tree(tmp_path, "Neoverse"), scale)
        source = hardware.open_source(host, follow=follow)
        opened.append(source)
        targets = Pids([40])
        targets.resolve(host)
        source.watch(targets)
        return host, source

    yield make
    for source in opened:
        source.close()


@pytest.fixture
def spe(made):
    return made()


def test_it_is_opened_on_its_cpus_with_a_ring_and_an_aux_buffer(spe) -> None:
    host, source = spe
    assert isinstance(source, SpeSource)
    assert source.name == "hwhint"
    assert sorted({entry[2] for entry in host.opened}) == [0, 1, 2, 3]
    page = mmap.PAGESIZE
    told = struct.unpack("=QQ", os.pread(host.rings[0][0].descriptor, 16, 1072))
    assert told == ((1 + RING_PAGES) * page, AUX_PAGES * page)


def test_a_sample_with_a_context_is_its_processs_access(spe, tmp_path) -> None:
    host, source = spe
    thread = tmp_path / "proc/4711"
    thread.mkdir(parents=True)
    (thread / "status").write_text("Name:\tload\nTgid:\t40\nPid:\t4711\n")
    host.spe(2, packets(100, 0x7F00_0000_1ABC, 0x1_F000_1ABC, context=4711, store=1), now=500)
    samples = source.drain()
    assert samples.pid.tolist() == [40]
    assert samples.vaddr.tolist() == [0x7F00_0000_1ABC]
    assert samples.pfn.tolist() == [0x1F0001]
    assert (samples.cpu.tolist(), samples.nid.tolist()) == ([2], [0])
    assert samples.write.tolist() == [True]
    assert source.counts == SourceCounts(seen=1)


def test_without_one_the_targets_page_tables_say_whose_it_is(tmp_path) -> None:
    world = World(tmp_path)
    world.process(40)
    pfn = world.map(40, 100)
    write_maps(world)
    host = SpeHost(pmu_tree(tmp_path, "Neoverse"))
    source = hardware.open_source(host)
    targets = Pids([40])
    targets.resolve(host)
    source.watch(targets)
    host.spe(0, packets(7, 0x123_4567, pfn * PAGE + 24), now=9)
    host.spe(0, packets(8, 0x123_4567, (pfn + 1) * PAGE), now=9)
    samples = source.drain()
    while not len(samples.pid) and source.rest_us:  # page tables are read in short turns
        samples = source.drain()
    assert (samples.pid.tolist(), samples.pfn.tolist()) == ([40], [pfn])
    assert samples.vaddr.tolist() == [100 * PAGE]
    assert source.counts == SourceCounts(seen=2, not_found=1)
    source.close()


def times(source):
    return source.drain().time_ns.tolist()


def sampled(*when):
    return b"".join(packets(one, 0x1000, 0x5000, context=1) for one in when)


@pytest.fixture
def one(tmp_path, made):
    def make(scale):
        host, source = made(scale)
        (tmp_path / "proc/1").mkdir(parents=True, exist_ok=True)
        (tmp_path / "proc/1/status").write_text("Tgid:\t40\n")
        return host, source

    return make


def test_times_are_the_counters_by_the_kernels_scale_as_late_as_pieces_allow(one) -> None:
    """Ticks of 2 ns; the least time from a piece's last sample to its record is 400 ns."""
    host, source = one((1, 4))
    host.spe(0, sampled(1000, 1100), now=3000)  # 2200 and 800 to it
    assert times(source) == [2800, 3000]
    host.spe(1, sampled(2000), now=4400)  # 4000 and 400
    assert times(source) == [4400]
    host.spe(0, sampled(3000), now=9000)  # 6000: what lies between is 400 by now
    assert times(source) == [6400]


def test_without_a_scale_a_piece_is_as_of_its_record(one) -> None:
    host, source = one((0, 0))
    host.spe(0, sampled(5, 6), now=777)
    assert times(source) == [777, 777]


def test_the_samples_of_all_cpus_come_in_time_order(one) -> None:
    host, source = one((0, 1))
    host.spe(3, sampled(10, 40), now=50)
    host.spe(1, sampled(20, 30), now=40)
    found = source.drain()
    assert found.cpu.tolist() == [3, 1, 1, 3]
    assert found.time_ns.tolist() == sorted(found.time_ns.tolist())


def test_only_what_memory_served_and_what_is_known_is_given(one) -> None:
    host, source = one((0, 1))
    content = b"".join(
        [
            packets(1, 0x1000, 1 << 12, context=1, events=L1_HIT),
            packets(2, 0x1000, 2 << 12, context=1, events=L2_HIT, source=L2),
            packets(3, 0x1000, 3 << 12, context=1, events=LLC_HIT),
            packets(4, 0x1000, 4 << 12, context=1, events=LLC_MISSED),
            packets(5, 0x1000, 5 << 12, context=1, events=L2_HIT, source=DRAM),
            packets(6, 0x1000, None, context=1),
            packets(7, KERNEL, 7 << 12, context=1),
            packets(8),
        ]
    )
    host.spe(0, content, now=10)
    assert source.drain().pfn.tolist() == [4, 5]
    assert source.counts == SourceCounts(seen=8, not_memory=4, unresolved=1, kernel=1)


@pytest.mark.parametrize(
    ("events", "source", "memory"),
    [
        (None, None, True),
        (None, DRAM, True),
        (None, REMOTE, True),
        (None, L2, False),
        (None, 0x0, False),
        (L1_HIT, None, False),
        (L2_HIT, None, True),
        (LLC_HIT, DRAM, False),
        (LLC_MISSED, L2, True),
        (1 << 1, 0x77, True),
    ],
)
def test_the_last_cache_says_it_else_the_first_else_the_source(events, source, memory) -> None:
    def column(value):
        return np.array([data_src.SPE_UNKNOWN if value is None else value], np.uint64)

    assert data_src.spe_is_memory(column(events), column(source)).tolist() == [memory]


def test_pieces_wrap_and_their_room_is_given_back(one) -> None:
    host, source = one((0, 1))
    piece = sampled(*range(100, 900))
    rounds = 3 * AUX_PAGES * mmap.PAGESIZE // len(piece)
    for _ in range(rounds):
        host.spe(0, piece, now=1000)
        assert len(source.drain().pid) == 800
        assert host.aux_tail(0) == host.written[0]
    assert source.counts == SourceCounts(seen=rounds * 800)


def test_a_piece_whose_record_was_lost_comes_with_the_next(one) -> None:
    host, source = one((0, 1))
    host.spe(0, sampled(1, 2), now=5, told=False)
    assert times(source) == []
    host.rings[0][0].write(lost(1))
    host.spe(0, sampled(3), now=5)
    assert len(times(source)) == 3
    assert source.counts.lost == 1


def test_samples_that_had_no_room_or_collided_are_told(one) -> None:
    host, source = one((0, 1))
    host.spe(0, sampled(1), now=5, flags=TRUNCATED)
    host.spe(1, b"", now=6, flags=COLLISION)
    assert len(times(source)) == 1
    assert source.counts.lost == 2
    assert source.notes == [
        "Arm SPE had no room for some samples, or they collided: counted as lost"
    ]


def test_what_is_no_packets_is_counted(one) -> None:
    host, source = one((0, 1))
    host.spe(0, b"\xff" * 16 + sampled(5), now=9)
    assert len(times(source)) == 1
    assert source.counts.corrupt == 16


def test_forks_and_exits_come_as_with_any_event(made) -> None:
    host, source = made(follow=True)
    host.rings[0][0].write(
        fork(1, 20, 10, 20), record(ITRACE_START, struct.pack("=ii", 1, 1) + trailer(2)),
        comm(3, 20, 20), fork(5, 20, 10, 20, kind=EXIT),
    )  # fmt: skip
    source.drain()
    assert source.take_tasks().kind.tolist() == [FORK, 3, EXIT]


def test_where_no_aux_buffer_can_be_had_it_is_one_line(tmp_path, monkeypatch) -> None:
    map_ = mmap.mmap

    def refuse(descriptor, size, offset=0):
        if offset:
            raise OSError(errno.EPERM, "Operation not permitted")
        return map_(descriptor, size)

    World(tmp_path)
    host = SpeHost(pmu_tree(tmp_path, "Neoverse"))
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(PghotError, match=r"no AUX buffer: Operation not permitted: run as root"):
        hardware.open_source(host)


def test_a_scale_is_told_only_where_the_kernel_has_one(made) -> None:
    for scale, known in (((5, 9), Scale(5, 9)), ((0, 0), Scale(0, 0))):
        _host, source = made(scale)
        ring = source._rings.rings[0]
        assert isinstance(ring, AuxRing)
        assert ring.scale == known
