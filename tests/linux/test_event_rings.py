import errno
import mmap
import os
import threading
import time
from pathlib import Path

import pytest

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf.arrays import FORK, Drained
from pghot.linux.perf.attr import EventAttr, Flag, Sample
from pghot.linux.perf.event_rings import EventRings, Wanted
from pghot.linux.perf.mem_events import find_mem_events
from pghot.linux.perf.open_events import (
    PERF_EVENT_IOC_DISABLE,
    PERF_EVENT_IOC_ENABLE,
    PERF_EVENT_IOC_SET_OUTPUT,
)
from pghot.sources.hint_faults import event
from tests.linux.perf_rig import PerfHost, machine, put, sample

ONLINE = "/sys/devices/system/cpu/online"
FAULTS = [Wanted([[event()]])]


def host(tmp_path, name="virtual", refuse=lambda *_: None):
    return PerfHost(machine(tmp_path, name), refuse)


def wanted_on(host):
    return [Wanted(events.groups, events.cpus) for events in find_mem_events(host)]


def precise_ip(attr):
    return attr[41] >> 7 | (attr[42] & 1) << 1


def test_every_online_cpu_gets_a_ring_for_all_processes(tmp_path):
    on = host(tmp_path)
    rings = EventRings(on, FAULTS)
    assert [(pid, cpu, group) for _, pid, cpu, group, _ in on.opened] == [(-1, 0, -1), (-1, 1, -1)]
    assert rings.cpus == (0, 1)
    rings.close()


def test_what_all_rings_hold_is_drained_into_the_same_columns(tmp_path):
    on = host(tmp_path)
    rings = EventRings(on, FAULTS)
    for cpu in (0, 1):
        on.rings[cpu][0].write(sample(addr=cpu + 1, cpu=cpu))
    into = Drained()
    rings.drain(into)
    assert into.samples.addr.tolist() == [1, 2]
    rings.close()


def test_events_are_started_and_stopped_one_by_one(tmp_path):
    on = host(tmp_path)
    rings = EventRings(on, FAULTS)
    rings.enable()
    rings.disable()
    descriptors = rings.descriptors
    assert on.ioctls == [(fd, PERF_EVENT_IOC_ENABLE, 0) for fd in descriptors] + [
        (fd, PERF_EVENT_IOC_DISABLE, 0) for fd in descriptors
    ]
    rings.close()


def test_a_group_opens_behind_its_leader_and_samples_share_the_cpus_ring(tmp_path):
    on = host(tmp_path, "intel_sapphire_rapids")
    rings = EventRings(on, wanted_on(on))
    aux, loads, stores = (entry[4] for entry in on.opened[:3])
    assert [entry[3] for entry in on.opened[:3]] == [-1, aux, -1]
    assert on.ioctls[0] == (stores, PERF_EVENT_IOC_SET_OUTPUT, loads)
    assert len(on.opened) == 12
    rings.close()


def test_the_pmus_of_a_hybrid_machine_open_on_their_own_cpus(tmp_path):
    on = host(tmp_path, "intel_hybrid")
    rings = EventRings(on, wanted_on(on))
    kinds = {cpu: {entry[0][0] for entry in on.opened if entry[2] == cpu} for cpu in range(6)}
    assert kinds == {0: {4}, 1: {4}, 2: {4}, 3: {4}, 4: {10}, 5: {10}}
    rings.close()


def test_a_pmu_that_refuses_no_skid_is_asked_for_requested_no_skid(tmp_path):
    def refuse(attr, *_):
        return errno.EOPNOTSUPP if precise_ip(attr) == 3 else None

    on = host(tmp_path, "intel_sapphire_rapids", refuse)
    rings = EventRings(on, wanted_on(on))
    assert [precise_ip(entry[0]) for entry in on.opened[:3]] == [0, 2, 2]
    rings.close()


def test_a_pmu_that_refuses_both_is_an_error(tmp_path):
    def refuse(attr, *_):
        return errno.EOPNOTSUPP if precise_ip(attr) else None

    on = host(tmp_path, "intel_sapphire_rapids", refuse)
    with pytest.raises(PghotError, match="on any CPU: Operation not supported"):
        EventRings(on, wanted_on(on))


def test_a_cpu_that_cannot_be_opened_is_told_once_and_the_others_go_on(tmp_path):
    on = host(tmp_path, refuse=lambda _attr, _pid, cpu, _group: errno.ENODEV if cpu == 0 else None)
    rings = EventRings(on, FAULTS)
    assert rings.cpus == (1,)
    put(tmp_path, ONLINE, "0-2")
    rings.follow_cpus()
    assert rings.cpus == (1, 2)
    assert rings.notes == ["CPU 0: perf events cannot be opened (No such device)"]
    rings.close()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.EACCES, "CAP_PERFMON"),
        (errno.EPERM, "CAP_PERFMON"),
        (errno.EMFILE, "ulimit -Hn"),
        (errno.ENOSYS, "CONFIG_PERF_EVENTS"),
        (errno.ENODEV, "on any CPU: No such device"),
    ],
)
def test_a_refusal_says_what_to_do_and_leaves_nothing_open(tmp_path, code, says):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(PghotError, match=says):
        EventRings(host(tmp_path, refuse=lambda *_: code), FAULTS)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_refusal_half_way_closes_what_was_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    refuse = lambda _attr, _pid, cpu, _group: errno.EMFILE if cpu else None  # noqa: E731
    with pytest.raises(PghotError, match="ulimit -Hn"):
        EventRings(host(tmp_path, refuse=refuse), FAULTS)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_cpus_that_come_are_opened_and_started_and_those_that_go_are_closed(tmp_path):
    on = host(tmp_path)
    rings = EventRings(on, FAULTS)
    rings.enable()
    assert not rings.follow_cpus()
    put(tmp_path, ONLINE, "1-2")
    assert rings.follow_cpus()
    assert rings.cpus == (1, 2)
    assert on.ioctls[-1] == (on.opened[-1][4], PERF_EVENT_IOC_ENABLE, 0)
    rings.close()


def test_a_cpu_that_comes_and_is_refused_stops_nobody(tmp_path):
    codes = {}
    on = host(tmp_path, refuse=lambda _attr, _pid, cpu, _group: codes.get(cpu))
    rings = EventRings(on, FAULTS)
    codes[2] = errno.EMFILE
    put(tmp_path, ONLINE, "0-2")
    assert rings.follow_cpus()
    assert rings.cpus == (0, 1)
    assert rings.notes == ["CPU 2: perf events cannot be opened (Too many open files)"]
    rings.close()


def test_of_one_process_every_thread_is_opened_and_inherited_into_one_ring_a_cpu(tmp_path):
    on = host(tmp_path)
    put(tmp_path, "/proc/70/task/70/stat", "")
    put(tmp_path, "/proc/70/task/71/stat", "")
    rings = EventRings(on, FAULTS, pid=70)
    assert [(pid, cpu) for _, pid, cpu, _, _ in on.opened] == [(70, 0), (71, 0), (70, 1), (71, 1)]
    assert all(entry[0][40] & Flag.INHERIT for entry in on.opened)
    first, second = (entry[4] for entry in on.opened[:2])
    assert on.ioctls[0] == (second, PERF_EVENT_IOC_SET_OUTPUT, first)
    rings.close()


def test_a_thread_that_ended_meanwhile_is_passed_over(tmp_path):
    refuse = lambda _attr, pid, _cpu, _group: errno.ESRCH if pid == 71 else None  # noqa: E731
    on = host(tmp_path, refuse=refuse)
    put(tmp_path, "/proc/70/task/70/stat", "")
    put(tmp_path, "/proc/70/task/71/stat", "")
    rings = EventRings(on, FAULTS, pid=70)
    assert {entry[1] for entry in on.opened} == {70}
    rings.close()


def test_a_process_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(PghotError, match="process 70 is gone"):
        EventRings(host(tmp_path), FAULTS, pid=70)


def own_rings(sample_type, pages=64):
    """Rings of this very process; skips where the kernel refuses even that."""
    attr = EventAttr(
        type=1,
        config=5,
        sample_period=1,
        sample_type=sample_type,
        flags=Flag.DISABLED | Flag.EXCLUDE_KERNEL | Flag.SAMPLE_ID_ALL | Flag.TASK | Flag.COMM,
        clockid=1,
    )
    try:
        return EventRings(Host(), [Wanted([[attr]])], os.getpid(), pages)
    except PghotError as error:
        pytest.skip(f"perf events of one's own process: {error}")


KINDS = Sample.TID | Sample.TIME | Sample.ADDR | Sample.CPU


def touch(pages):
    """Write to fresh pages, one by one; give the map and its address."""
    fresh = mmap.mmap(-1, pages * mmap.PAGESIZE)
    fresh.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(pages):
        fresh[page * mmap.PAGESIZE] = 1
    return fresh


@pytest.mark.parametrize("more", [Sample(0), Sample.PHYS_ADDR])
def test_a_real_ring_shows_every_fresh_page_that_this_process_touches(more):
    rings = own_rings(KINDS | more)
    before = time.monotonic_ns()
    rings.enable()
    touched = touch(200)
    worker = threading.Thread(target=touch, args=(50,))
    worker.start()
    worker.join()
    rings.disable()
    into = Drained()
    rings.drain(into)
    rings.close()
    after = time.monotonic_ns()
    faults = into.samples
    pages = set((faults.addr // mmap.PAGESIZE).tolist())
    runs = [page for page in pages if all(page + i in pages for i in range(200))]
    assert runs, "200 pages that follow each other, each seen"
    assert len(faults.addr) >= 250
    assert set(faults.pid.tolist()) == {os.getpid()}
    assert {threading.get_native_id(), worker.native_id} <= set(faults.tid.tolist())
    assert before < faults.time_ns.min() <= faults.time_ns.max() < after
    assert into.count("lost") == into.count("corrupt") == into.count("malformed") == 0
    assert FORK in into.tasks.kind.tolist()
    if more:
        known = faults.phys != 0
        assert known.sum() >= 250
        offsets = faults.phys[known] % mmap.PAGESIZE
        assert (offsets == faults.addr[known] % mmap.PAGESIZE).all()
    touched.close()


@pytest.fixture
def one_cpu():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.usefixtures("one_cpu")
def test_a_real_ring_that_overflows_says_how_many_it_lost():
    rings = own_rings(KINDS, pages=1)
    into = Drained()
    rings.enable()
    touch(1000).close()
    rings.drain(into)
    kept = into.count("samples")
    touch(100).close()  # the kernel tells of the loss before the next that fits
    rings.drain(into)
    rings.close()
    assert kept < 1000
    assert into.count("lost") >= 1000 - kept
    assert into.count("samples") > kept


def test_no_descriptor_is_left_behind():
    before = sorted(Path("/proc/self/fd").iterdir())
    own_rings(KINDS).close()
    assert sorted(Path("/proc/self/fd").iterdir()) == before
