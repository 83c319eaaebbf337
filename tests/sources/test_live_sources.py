import mmap
import os
import select
import time

import numpy as np
import pytest

from pghot.driving.run_state import SourceCounts
from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf.arrays import EXIT, FORK
from pghot.linux.perf.mem_events import Periods
from pghot.linux.perf.ring import RING_PAGES
from pghot.sources import hardware, hint_faults
from pghot.sources.live_source import LiveSource
from tests.linux.perf_rig import EXIT as EXIT_RECORD
from tests.linux.perf_rig import (
    PerfHost,
    comm,
    fork,
    lost,
    lost_samples,
    machine,
    put,
    sample,
    throttle,
)

LOAD_RAM = 0x02 | (0x02 | 0x80) << 5 | 0xD << 33
STORE_RAM = 0x04 | (0x02 | 0x80) << 5 | 0xD << 33
LOAD_L1 = 0x02 | (0x02 | 0x08) << 5 | 0x1 << 33
KERNEL_ADDRESS = 0xFFFF_8880_0000_1000


@pytest.fixture
def zen4(tmp_path):
    return PerfHost(machine(tmp_path, "amd_zen4"))


def columns(samples):
    return {
        name: column.tolist() for name, column in samples._asdict().items() if column is not None
    }


def test_a_hint_fault_is_an_access_of_a_page_by_a_cpu_of_a_node(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[2][0].write(sample(time=9, pid=70, tid=71, addr=0x7000_1234, cpu=2, phys=0x5_0234))
    assert columns(source.drain()) == {
        "time_ns": [9],
        "pid": [70],
        "vaddr": [0x7000_1234],
        "pfn": [0x50],
        "nid": [1],
        "cpu": [2],
        "write": [False],
    }
    assert source.counts == SourceCounts(seen=1)
    source.close()


def test_a_pfn_counts_the_machines_own_pages(tmp_path):
    class Large(PerfHost):
        def sysconf(self, name):
            return 16 * super().sysconf(name)

    host = Large(machine(tmp_path, "amd_zen4"))
    source = hint_faults.open_source(host)
    host.rings[0][0].write(sample(phys=0x5_0234))
    assert source.drain().pfn.tolist() == [0x5]
    source.close()


def test_the_samples_of_all_cpus_come_in_time_order(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[0][0].write(sample(time=5, phys=1 << 12), sample(time=30, phys=2 << 12))
    zen4.rings[1][0].write(sample(time=4, phys=3 << 12), sample(time=6, phys=4 << 12))
    assert source.drain().pfn.tolist() == [3, 1, 4, 2]
    assert source.drain().pfn.tolist() == []
    source.close()


def test_samples_that_are_no_access_to_a_known_page_are_dropped_and_counted(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[0][0].write(
        sample(phys=0),
        sample(phys=0xFFF),
        sample(addr=KERNEL_ADDRESS, phys=1 << 12),
        sample(pid=0, phys=1 << 12),
        sample(pid=-1, phys=1 << 12),
    )
    assert source.drain().pfn.tolist() == []
    assert source.counts == SourceCounts(seen=5, unresolved=2, kernel=3)
    source.close()


def test_lost_and_throttled_records_are_summed_over_drains(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[0][0].write(lost(7), throttle())
    source.drain()
    zen4.rings[3][0].write(lost(1), lost_samples(2))
    source.drain()
    assert source.counts == SourceCounts(lost=10, throttled=1)
    source.close()


def test_a_cpu_of_no_known_node_has_node_minus_one(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[0][0].write(sample(cpu=77, phys=1 << 12))
    assert source.drain().nid.tolist() == [-1]
    source.close()


def test_a_drains_arrays_stay_good_after_the_next(zen4):
    source = hint_faults.open_source(zen4)
    zen4.rings[0][0].write(sample(pid=1, phys=1 << 12))
    first = source.drain()
    zen4.rings[0][0].write(sample(pid=2, phys=2 << 12))
    source.drain()
    assert (first.pid.tolist(), first.pfn.tolist()) == ([1], [1])
    source.close()


def test_forks_execs_and_exits_are_given_once_in_time_order(zen4):
    source = hint_faults.open_source(zen4, follow=True)
    assert zen4.opened[0][0][41] & 0x22 == 0x22, "comm and task"
    zen4.rings[0][0].write(fork(1, 20, 10, 20), fork(5, 20, 10, 20, kind=EXIT_RECORD))
    zen4.rings[1][0].write(comm(3, 20, 20))
    source.drain()
    tasks = source.take_tasks()
    assert tasks.time_ns.tolist() == [1, 3, 5]
    assert tasks.kind.tolist() == [FORK, 3, EXIT]
    assert source.take_tasks().pid.tolist() == []
    source.close()


def test_task_records_are_asked_for_only_to_follow(zen4):
    hint_faults.open_source(zen4).close()
    assert zen4.opened[0][0][41] & 0x22 == 0


def test_a_hybrid_machines_tasks_are_followed_on_both_kinds_of_core_once(tmp_path):
    host = PerfHost(machine(tmp_path, "intel_hybrid"))
    hardware.open_source(host, follow=True).close()
    for cpu in range(6):
        asked = [entry[0][41] & 0x22 == 0x22 for entry in host.opened if entry[2] == cpu]
        assert asked.count(True) == 1


def test_hardware_samples_keep_what_memory_served_and_know_writes(zen4):
    source = hardware.open_source(zen4)
    zen4.rings[0][0].write(
        sample(time=1, phys=1 << 12, data_src=LOAD_RAM),
        sample(time=2, phys=2 << 12, data_src=STORE_RAM),
        sample(time=3, phys=3 << 12, data_src=LOAD_L1),
        sample(time=4, phys=0, data_src=LOAD_RAM),
    )
    samples = source.drain()
    assert samples.pfn.tolist() == [1, 2]
    assert samples.write.tolist() == [False, True]
    assert source.counts == SourceCounts(seen=4, not_memory=1, unresolved=1)
    source.close()


def test_hardware_periods_are_the_callers_to_set(zen4):
    hardware.open_source(zen4, periods=Periods(ibs=0x1000)).close()
    assert zen4.opened[0][0][16:24] == (0x1000).to_bytes(8, "little")


def test_every_sampling_event_wakes_its_reader_at_half_a_ring(tmp_path):
    host = PerfHost(machine(tmp_path, "intel_sapphire_rapids"))
    hardware.open_source(host).close()
    watermarks = [int.from_bytes(entry[0][48:52], "little") for entry in host.opened[:3]]
    assert watermarks == [0, RING_PAGES * 4096 // 2, RING_PAGES * 4096 // 2]


def test_a_machine_without_a_pmu_has_no_hardware_source(tmp_path):
    with pytest.raises(PghotError, match="no PMU with memory events"):
        hardware.open_source(PerfHost(machine(tmp_path, "virtual")))


def test_sources_are_called_as_in_an_access_log_and_keep_the_protocol(zen4):
    sources: list[LiveSource] = [hint_faults.open_source(zen4), hardware.open_source(zen4)]
    assert [source.name for source in sources] == ["hintfault", "hwhint"]
    for source in sources:
        source.close()


def test_the_nodes_of_cpus_are_read_again_when_cpus_come(zen4, tmp_path):
    source = hint_faults.open_source(zen4)
    put(tmp_path, "/sys/devices/system/cpu/online", "0-4")
    put(tmp_path, "/sys/devices/system/node/node1/cpulist", "2-4")
    assert source.follow_cpus()
    zen4.rings[4][0].write(sample(cpu=4, phys=1 << 12))
    assert source.drain().nid.tolist() == [1]
    source.close()


def test_hint_faults_need_tiering_mode_with_nothing_promoted_meanwhile():
    limit, mode = hint_faults.settings()
    assert limit == ("/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps", "0")
    assert mode == ("/proc/sys/kernel/numa_balancing", "2")


def test_the_scans_pace_is_set_before_it_starts_and_only_where_asked():
    pace = hint_faults.Pace(scan_delay_ms=0, scan_size_mb=1024)
    assert hint_faults.settings(pace)[1:-1] == [
        ("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "0"),
        ("/sys/kernel/debug/sched/numa_balancing/scan_size_mb", "1024"),
    ]


def test_the_kernels_own_faults_are_left_out_unless_asked_for():
    assert hint_faults.event().pack()[40] & 0x20
    assert not hint_faults.event(user_only=False).pack()[40] & 0x20


def test_minor_faults_of_this_process_come_out_as_its_accesses():
    try:
        source = hint_faults.open_source(Host(), os.getpid())
    except PghotError as error:
        pytest.skip(f"perf events of one's own process with physical addresses: {error}")
    start = time.monotonic_ns()
    source.enable()
    fresh = mmap.mmap(-1, 300 * mmap.PAGESIZE)
    fresh.madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(300):
        fresh[page * mmap.PAGESIZE] = 1
    source.disable()
    samples = source.drain()
    source.close()
    first = np.frombuffer(fresh, np.uint8).__array_interface__["data"][0]
    touched = (samples.vaddr >= first) & (samples.vaddr < first + len(fresh))
    assert samples.vaddr[touched].tolist() == [first + i * mmap.PAGESIZE for i in range(300)]
    assert len(set(samples.pfn[touched].tolist())) == 300
    assert set(samples.pid[touched].tolist()) == {os.getpid()}
    assert (samples.nid >= 0).all()
    assert start < samples.time_ns[0]


def test_a_real_source_is_readable_once_half_a_ring_is_full():
    try:
        source = hint_faults.open_source(Host(), os.getpid(), pages=2)
    except PghotError as error:
        pytest.skip(f"perf events of one's own process with physical addresses: {error}")
    poll = select.poll()
    for descriptor in source.descriptors:
        poll.register(descriptor, select.POLLIN)
    source.enable()
    assert not any(event & select.POLLIN for _, event in poll.poll(0))
    with mmap.mmap(-1, 500 * mmap.PAGESIZE) as fresh:
        fresh.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(500):
            fresh[page * mmap.PAGESIZE] = 1
    assert any(event & select.POLLIN for _, event in poll.poll(1000))
    source.close()
