import errno
import mmap
import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import PghotError
from pghot.linux.perf import ring as ring_module
from pghot.linux.perf.arrays import EXEC, EXIT, FORK, TALLIES, Drained
from pghot.linux.perf.attr import Sample
from pghot.linux.perf.ring import Ring, RingMemoryError
from pghot.linux.perf.sample_layout import sample_layout
from tests.linux import perf_rig as rig
from tests.linux.perf_rig import MadeRing, comm, fork, lost, lost_samples, record, sample, throttle

KINDS = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU | Sample.PHYS_ADDR
LAYOUT = sample_layout(KINDS)


@pytest.fixture
def made():
    made = MadeRing()
    yield made
    made.close()


def drained(made, into=None, layout=LAYOUT, pages=1):
    into = into or Drained()
    with Ring(made.descriptor, layout, pages) as ring:
        ring.drain(into)
    return into


def twin(content):
    """Decode records the slow way: samples, task events and tallies."""
    samples, tasks, tally = [], [], dict.fromkeys(TALLIES, 0)
    at = 0
    while at < len(content):
        kind, misc, size = struct.unpack_from("=IHH", content, at)
        if size < 8 or size % 8 or at + size > len(content):
            tally["corrupt"] += 1
            break
        body = content[at + 8 : at + size]
        at += size
        if kind == rig.SAMPLE and len(body) >= 40:
            pid, tid, time, addr, cpu, _, phys = struct.unpack_from("=iiQQiIQ", body)
            samples.append((time, pid, tid, addr, phys, cpu, 0))
        elif kind in {rig.FORK, rig.EXIT} and len(body) >= 24:
            pid, ppid, tid, _, time = struct.unpack_from("=iiiiQ", body)
            tasks.append((time, kind, pid, ppid, tid))
        elif kind == rig.COMM and not misc & rig.COMM_EXEC:
            continue
        elif kind == rig.COMM and len(body) >= 40:
            pid, tid = struct.unpack_from("=ii", body)
            tasks.append((struct.unpack_from("=Q", body, len(body) - 16)[0], kind, pid, pid, tid))
        elif kind == rig.LOST and len(body) >= 16:
            tally["lost"] += struct.unpack_from("=Q", body, 8)[0]
        elif kind == rig.LOST_SAMPLES and len(body) >= 8:
            tally["lost_samples"] += struct.unpack_from("=Q", body)[0]
        elif kind in {rig.THROTTLE, rig.UNTHROTTLE}:
            tally["throttled" if kind == rig.THROTTLE else "unthrottled"] += 1
        elif kind in {rig.SAMPLE, rig.FORK, rig.EXIT, rig.COMM, rig.LOST, rig.LOST_SAMPLES}:
            tally["malformed"] += 1
    return samples, tasks, {**tally, "samples": len(samples), "tasks": len(tasks)}


def rows(columns):
    return list(zip(*(column.tolist() for column in columns), strict=True))


def check(into, content):
    samples, tasks, tally = twin(content)
    assert rows(into.samples) == samples
    assert rows(into.tasks) == tasks
    assert dict(zip(TALLIES, into.tally.tolist(), strict=True)) == tally


def test_a_sample_is_read_field_by_field(made):
    made.write(sample(time=5, pid=10, tid=11, addr=0x7F00_1234_5678, cpu=3, phys=0x8_0000_1678))
    into = drained(made)
    assert rows(into.samples) == [(5, 10, 11, 0x7F00_1234_5678, 0x8_0000_1678, 3, 0)]
    assert made.tail == made.head == 48


def test_data_src_comes_before_the_physical_address(made):
    made.write(sample(phys=0x1000, data_src=0x1E05080021))
    into = drained(made, layout=sample_layout(KINDS | Sample.DATA_SRC))
    assert into.samples.data_src.tolist() == [0x1E05080021]
    assert into.samples.phys.tolist() == [0x1000]


def test_fields_that_are_not_sampled_are_nought_or_unknown(made):
    made.write(record(rig.SAMPLE, struct.pack("=Q", 0x1000)))
    into = drained(made, layout=sample_layout(Sample.ADDR))
    assert rows(into.samples) == [(0, -1, -1, 0x1000, 0, -1, 0)]


def test_lost_and_throttled_records_are_counted(made):
    made.write(lost(7), throttle(), lost(3), throttle(rig.UNTHROTTLE), lost_samples(5))
    into = drained(made)
    named = {name: into.count(name) for name in TALLIES if into.count(name)}
    assert named == {"lost": 10, "lost_samples": 5, "throttled": 1, "unthrottled": 1}


def test_forks_execs_and_exits_are_told(made):
    made.write(fork(1, 20, 10, 20), comm(2, 20, 20), fork(3, 20, 10, 20, kind=rig.EXIT))
    into = drained(made)
    assert rows(into.tasks) == [
        (1, FORK, 20, 10, 20),
        (2, EXEC, 20, 20, 20),
        (3, EXIT, 20, 10, 20),
    ]


def test_a_mere_change_of_name_is_no_exec(made):
    made.write(comm(2, 20, 20, exec_=False), comm(3, 20, 20, b"long name" + bytes(7)))
    assert rows(drained(made).tasks) == [(3, EXEC, 20, 20, 20)]


def test_records_of_unknown_kinds_and_sizes_are_stepped_over(made):
    made.write(record(99, bytes(800)), sample(addr=1), record(1, bytes(64)), sample(addr=2))
    assert drained(made).samples.addr.tolist() == [1, 2]


def test_a_record_too_short_for_its_kind_is_counted_and_left_out(made):
    made.write(record(rig.SAMPLE, bytes(8)), record(rig.FORK, bytes(8)), sample(addr=2))
    into = drained(made)
    assert into.samples.addr.tolist() == [2]
    assert into.count("malformed") == 2


@pytest.mark.parametrize("size", [0, 4, 12, 56])
def test_a_record_that_makes_no_sense_ends_the_drain_and_the_next_starts_clean(made, size):
    made.write(sample(addr=1), struct.pack("=IHH", rig.SAMPLE, 0, size) + bytes(40))
    with Ring(made.descriptor, LAYOUT, 1) as ring:
        into = Drained()
        ring.drain(into)
        assert into.samples.addr.tolist() == [1]
        assert into.count("corrupt") == 1
        assert made.tail == made.head
        made.write(sample(addr=3))
        ring.drain(into)
        assert into.samples.addr.tolist() == [1, 3]
        assert into.count("corrupt") == 1


@pytest.mark.parametrize("head", [4, mmap.PAGESIZE + 8, (1 << 63) - 8, 1 << 63, (1 << 64) - 8])
def test_a_head_that_cannot_be_ends_the_drain(made, head):
    made.head = head
    made.write()
    into = drained(made)
    assert into.count("corrupt") == 1
    assert into.count("samples") == 0
    assert made.tail == head


def test_columns_grow_to_take_whatever_a_ring_holds(made):
    made.write(*(sample(addr=i) for i in range(50)), *(fork(i, i, 1, i) for i in range(20)))
    into = drained(made, Drained(samples=1, tasks=0))
    assert into.samples.addr.tolist() == list(range(50))
    assert into.tasks.pid.tolist() == list(range(20))


def test_rings_drained_into_the_same_columns_follow_each_other(made):
    other = MadeRing()
    made.write(sample(addr=1))
    other.write(sample(addr=2))
    into = drained(other, drained(made))
    assert into.samples.addr.tolist() == [1, 2]
    into.reset()
    assert len(into.samples.addr) == 0
    other.close()


def test_a_drain_of_nothing_changes_nothing(made):
    into = drained(made)
    assert not into.tally.any()
    assert made.tail == 0


def test_a_head_before_the_tail_ends_the_drain():
    made = MadeRing(start=4096)
    made.head = 48
    made.write()
    assert drained(made).count("corrupt") == 1
    made.close()


@pytest.mark.parametrize("start", range(mmap.PAGESIZE - 56, mmap.PAGESIZE + 8, 8))
def test_a_sample_may_wrap_at_any_word(start):
    made = MadeRing(start=start)
    content = sample(time=5, pid=10, tid=11, addr=12, cpu=3, phys=0x1000) + comm(6, 7, 8)
    made.write(content)
    check(drained(made), content)
    made.close()


BODY = st.integers(0, 12).flatmap(lambda n: st.binary(min_size=8 * n, max_size=8 * n))
WELL_FORMED = st.one_of(
    st.builds(
        sample,
        time=st.integers(0, (1 << 64) - 1),
        pid=st.integers(-1, 1 << 22),
        addr=st.integers(0, (1 << 64) - 1),
        cpu=st.integers(0, 1023),
        phys=st.integers(0, (1 << 52) - 1),
    ),
    st.builds(fork, *[st.integers(0, 1 << 22)] * 4, kind=st.sampled_from([FORK, EXIT])),
    st.builds(comm, *[st.integers(0, 1 << 22)] * 3, exec_=st.booleans()),
    st.builds(lost, st.integers(0, 1 << 40)),
    st.builds(lost_samples, st.integers(0, 1 << 40)),
    st.builds(throttle, st.sampled_from([rig.THROTTLE, rig.UNTHROTTLE])),
    st.builds(
        record,
        st.integers(1, 20).filter(lambda kind: kind not in {2, 13}),
        BODY,
        st.integers(0, (1 << 16) - 1),
    ),
)


@settings(max_examples=200, deadline=None)
@given(
    records=st.lists(WELL_FORMED, max_size=30),
    start=st.integers(0, 1 << 20).map(lambda words: 8 * words),
    room=st.integers(0, 4),
    torn=st.none() | st.sampled_from([0, 7, 9, 65528]),
)
def test_any_records_at_any_place_decode_as_the_slow_twin_says(records, start, room, torn):
    if torn is not None:
        records = [*records, struct.pack("=IHH", rig.SAMPLE, 0, torn), sample()]
    content = b"".join(records)[: mmap.PAGESIZE]
    made = MadeRing(start=start)
    made.write(content)
    check(drained(made, Drained(room, room)), content)
    assert made.tail == made.head
    made.close()


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=400), start=st.integers(0, 4096))
def test_any_bytes_at_all_end_a_drain_in_order(content, start):
    made = MadeRing(start=8 * start)
    made.write(content)
    into = drained(made)
    assert made.tail == made.head
    assert into.count("samples") <= len(content) // 48
    made.close()


def test_a_ring_shrinks_by_halves_to_what_may_be_locked(monkeypatch, made):
    tried = []

    def limited(descriptor, length, *, real=mmap.mmap):
        tried.append(length // mmap.PAGESIZE - 1)
        if tried[-1] > 1:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return real(descriptor, length)

    monkeypatch.setattr(ring_module.mmap, "mmap", limited)
    with Ring(made.descriptor, LAYOUT, 8) as ring:
        assert ring.pages == 1
    assert tried == [8, 4, 2, 1]


def test_a_ring_that_may_not_even_have_one_page_is_told_apart(monkeypatch, made):
    def refused(_descriptor, _length):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(ring_module.mmap, "mmap", refused)
    with pytest.raises(RingMemoryError, match=r"no memory for a perf ring \(Operation not per"):
        Ring(made.descriptor, LAYOUT, 8)


def test_a_closed_ring_drains_nothing(made):
    made.write(sample())
    ring = Ring(made.descriptor, LAYOUT, 1)
    ring.close()
    into = Drained()
    ring.drain(into)
    assert not into.tally.any()


def test_a_ring_wants_a_power_of_two_pages(made):
    with pytest.raises(ValueError, match="power of two"):
        Ring(made.descriptor, LAYOUT, 3)


def test_a_ring_of_another_file_cannot_be_mapped():
    with open(os.devnull, "rb") as null, pytest.raises(PghotError, match="cannot be mapped"):  # noqa: PTH123
        Ring(null.fileno(), LAYOUT, 1)


def test_views_are_good_until_reset_and_typed_as_said(made):
    made.write(sample(pid=-1))
    into = drained(made)
    assert into.samples.pid.dtype == np.int32
    assert into.samples.pid.tolist() == [-1]
