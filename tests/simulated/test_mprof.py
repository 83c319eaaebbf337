"""The IBS Memory Profiler's driver (R6)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.throttle_state import make_pgdat
from pghot.engine.vmstat import Vmstat
from pghot.simulated.ibs import registers as ibs
from pghot.simulated.ibs.hardware import sample_registers
from pghot.simulated.ibs.mprof import (
    COUNTERS,
    IBS_NR_SAMPLES,
    MemoryProfiler,
    MprofAccesses,
    Overflows,
    by_time,
)
from tests.simulated.plain_mprof import NMI_DONE, PlainCpu

CAPABLE = ibs.IBS_CAPS_MEM_PROFILER
LVT = 1 << 24 | 2 << 16
DELAY = 50.0


class Machine:
    """A profiler on CPUs of given nodes, all started, and its counters."""

    def __init__(self, *nids, caps=CAPABLE, ibsctl=LVT, delay=DELAY):
        self.profiler = MemoryProfiler(nids, caps=caps, ibsctl=ibsctl, drain_delay_us=delay)
        self.vmstat = Vmstat(make_pgdat())
        for cpu in range(len(nids)):
            self.profiler.startup(cpu)

    def run(self, rows=(), until=float("inf")):
        """Rows: (CPU, time in us, PFN, options of `sample`)."""
        recorded = self.profiler.run(samples(rows), until, self.vmstat)
        return list(zip(*(column.tolist() for column in recorded), strict=True))

    def count(self, name):
        return self.vmstat[f"hwhint_{name}"]


def samples(rows):
    rows = [(*row, {})[:4] for row in rows]
    options = [{"extended": True, "valid": True, "online": True, **row[3]} for row in rows]
    told = (
        {name: np.array([o[name] for o in options], bool) for name in options[0]} if rows else {}
    )
    none = np.zeros(len(rows), bool)
    registers = sample_registers(
        np.array([row[2] for row in rows], np.uint64),
        extended=told.get("extended", none),
        remote=none,
        store=none,
        valid=told.get("valid", none),
    )
    times = np.array([row[1] for row in rows], float)
    return Overflows(
        np.array([row[0] for row in rows], np.int32),
        times,
        (times // 1000).astype(np.uint64),
        *registers,
        told.get("online", none),
    )


# R6.8
def test_a_sample_is_handed_on_with_its_pfn_the_cpu_s_node_and_its_own_time():
    machine = Machine(0, 7)
    assert machine.run([(1, 2990.0, 1234)], until=2999.0) == []
    assert machine.profiler.pending_us() == 3040.0
    assert machine.run(until=3039.0) == []
    assert machine.run(until=3040.0) == [(1234, 7, 2)]
    assert machine.profiler.pending_us() == float("inf")


# R6.7
def test_one_drain_takes_all_that_came_while_it_was_pending():
    machine = Machine(0)
    rows = [(0, time, pfn) for pfn, time in enumerate((0.0, 20.0, 49.0, 60.0))]
    assert len(machine.run(rows, until=60.0)) == 3
    assert machine.profiler.pending_us() == 110.0


# R6.4
def test_samples_are_counted_by_their_data_source():
    machine = Machine(0)
    machine.run([(0, t, 1, {"extended": t > 2}) for t in range(5)])
    assert machine.count("total_events") == machine.count("useful_events") == 5
    assert machine.count("dram_accesses") == 3
    assert machine.count("extmem_accesses") == 2


def test_a_source_that_is_a_cache_counts_as_neither():
    machine = Machine(0)
    row = samples([(0, 0.0, 1)])
    near = ibs.DATASRC["IBS_MPROF_DATA2_DATASRC_PEER_CCX_NEAR"]
    cached = row._replace(data2=np.array([ibs.encode_source(near)], np.uint64))
    machine.profiler.run(cached, 0.0, machine.vmstat)
    assert machine.count("total_events") == 1
    assert machine.count("dram_accesses") == machine.count("extmem_accesses") == 0


# R6.5
@pytest.mark.parametrize("options", [{"valid": False}, {"online": False}])
def test_a_sample_without_a_valid_address_or_an_online_page_is_counted_but_not_kept(options):
    machine = Machine(0)
    assert machine.run([(0, 0.0, 1, options)]) == []
    assert machine.count("total_events") == machine.count("extmem_accesses") == 1
    assert machine.count("useful_events") == 0


@pytest.mark.parametrize("valid", [ibs.LADDR_VALID, ibs.PADDR_VALID])
def test_both_addresses_have_to_be_valid(valid):
    machine = Machine(0)
    row = samples([(0, 0.0, 1)])._replace(data3=np.array([valid], np.uint64))
    machine.profiler.run(row, 1e9, machine.vmstat)
    assert machine.count("total_events") == 1
    assert machine.count("useful_events") == 0


# R6.6
def test_a_ring_holds_149_samples_and_what_comes_on_top_is_dropped():
    machine = Machine(0)
    rows = [(0, number / 10, number) for number in range(200)]
    assert [pfn for pfn, _nid, _time in machine.run(rows)] == list(range(149))
    assert machine.count("useful_events") == 149
    assert machine.profiler.dropped == 51
    assert machine.count("total_events") == 200


def test_rings_are_of_one_cpu_each():
    machine = Machine(*range(4))
    rows = [(cpu, float(number), number) for number in range(149) for cpu in range(4)]
    assert len(machine.run(rows, until=149.0)) + len(machine.run()) == 4 * 149


def test_what_is_handed_on_is_in_the_order_of_time():
    machine = Machine(0, 0, delay=5000.0)
    recorded = machine.run([(0, 3000.0, 1), (1, 1000.0, 2), (1, 4000.0, 3)])
    assert recorded == [(2, 0, 1), (1, 0, 3), (3, 0, 4)]


def test_the_order_of_time_holds_over_days():
    machine = Machine(0, 0, delay=1e15)
    assert machine.run([(0, 9e12, 1), (1, 1000.0, 2)]) == [(2, 0, 1), (1, 0, 9 * 10**9)]


# R6.9
def test_without_the_capability_there_is_no_profiler_which_is_said_once():
    machine = Machine(0, 0, caps=ibs.IBS_CAPS_DEFAULT)
    assert machine.run([(0, 0.0, 1)]) == []
    assert not machine.profiler.enabled.any()
    assert machine.count("total_events") == 0
    assert machine.profiler.notes == [
        "no IBS Memory Profiler, so no hardware hints: bit 18 of CPUID 0x8000001b EAX is clear"
    ]


def test_a_cpu_whose_lvt_offset_is_not_valid_is_not_profiled():
    machine = Machine(0, ibsctl=0)
    assert machine.run([(0, 0.0, 1)]) == []
    machine.profiler.startup(0)
    assert machine.profiler.notes == ["CPU 0: the profiler's LVT offset is not valid"]


# R6.9
def test_a_cpu_that_goes_offline_takes_no_more_samples_and_loses_those_pending():
    machine = Machine(0, 0)
    machine.run([(0, 0.0, 1), (1, 0.0, 2)], until=10.0)
    assert machine.profiler.teardown(0) == 1
    assert machine.run([(0, 20.0, 3)]) == [(2, 0, 0)]
    assert machine.count("total_events") == 2


def test_a_cpu_that_comes_back_after_losing_samples_fills_its_ring_and_then_drops_all():
    machine = Machine(0)
    machine.run([(0, 0.0, 1)], until=10.0)
    machine.profiler.teardown(0)
    machine.profiler.startup(0)
    assert machine.run([(0, 1e6 * number, 2) for number in range(1, 301)]) == []
    assert machine.count("useful_events") == 149
    assert machine.profiler.dropped == 300 - 148


def test_a_cpu_without_samples_pending_goes_and_comes_back_unharmed():
    machine = Machine(0)
    assert machine.profiler.teardown(0) == 0
    machine.profiler.startup(0)
    assert machine.run([(0, 1.0, 5)]) == [(5, 0, 0)]


SAMPLE = st.tuples(
    st.integers(0, 2),
    st.floats(0, 30),
    st.integers(0, 0x3FF),
    st.sampled_from(
        [0, ibs.LADDR_VALID, ibs.PADDR_VALID] + 9 * [ibs.LADDR_VALID | ibs.PADDR_VALID]
    ),
    st.integers(0, (1 << 52) - 1),
    st.integers(0, 9).map(bool),
)


@given(
    st.lists(SAMPLE, max_size=40),
    st.integers(1, 20),
    st.floats(0, 3000),
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_bulk_is_the_handler_register_by_register(drawn, times, delay, hotplug):
    machine = Machine(0, 1, 0, delay=delay)
    plain = [PlainCpu(nid, delay) for nid in (0, 1, 0)]
    for cpu in plain:
        cpu.startup()
    now = 0.0
    for changed, online in [(None, None), *hotplug]:
        if changed is not None:
            (machine.profiler.startup if online else machine.profiler.teardown)(changed)
            plain[changed].startup() if online else plain[changed].teardown()
        rows = []
        for number in range(times * len(drawn)):
            which, gap, data2, data3, phyaddr, page_online = drawn[number % len(drawn)]
            now += gap
            rows.append((which, now, int(now // 4), data2, data3, phyaddr, page_online))
        dtypes = (np.int32, float, np.uint64, np.uint64, np.uint64, np.uint64, bool)
        columns = zip(*rows, strict=True) if rows else [()] * 7
        bulk = Overflows(*(np.array(c, d) for c, d in zip(columns, dtypes, strict=True)))
        recorded = machine.profiler.run(bulk, now, machine.vmstat)
        before = [len(cpu.recorded) for cpu in plain]
        for which, time, jiffies, data2, data3, phyaddr, page_online in rows:
            plain[which].work(time)
            plain[which].hardware(data2, data3, phyaddr)
            plain[which].nmi(time, jiffies, page_online)
        for cpu in plain:
            cpu.work(now)
        expected = [
            sample
            for cpu, count in zip(plain, before, strict=True)
            for sample in cpu.recorded[count:]
        ]
        got = list(zip(*(column.tolist() for column in recorded), strict=True))
        assert sorted(got) == sorted(expected)
        assert [time for _p, _n, time in got] == sorted(time for _p, _n, time in got)
        for name in COUNTERS:
            assert machine.vmstat[name] == sum(cpu.counts[name] for cpu in plain)
        assert machine.profiler.dropped == sum(cpu.counts["dropped"] for cpu in plain)
    enabled = [bool(cpu.msr[ibs.MSR_AMD64_IBS_MPROF_CTL] & ibs.CTL_ENABLE) for cpu in plain]
    assert machine.profiler.enabled.tolist() == enabled


# R6.3
def test_an_interrupt_without_a_sample_is_somebody_else_s():
    cpu = PlainCpu(0, DELAY)
    cpu.startup()
    assert cpu.nmi(0.0, 0, True) == NMI_DONE
    assert not cpu.counts
    assert len(cpu.slots) == IBS_NR_SAMPLES


@given(
    times=st.lists(st.one_of(st.integers(0, 20), st.integers(0, 1 << 40)), max_size=60),
    first=st.integers(0, 1 << 60),
)
def test_accesses_come_in_the_order_of_time_and_those_of_a_time_as_they_were(times, first):
    given_in = [(number, first + time) for number, time in enumerate(times)]
    pfn, time = (
        np.array(column, np.uint64)
        for column in ([n for n, _ in given_in], [t for _, t in given_in])
    )
    ordered = by_time(MprofAccesses(pfn, pfn.astype(np.int16), time))
    expected = sorted(given_in, key=lambda row: row[1])
    assert list(zip(ordered.pfn.tolist(), ordered.time.tolist(), strict=True)) == expected
    assert ordered.nid.tolist() == ordered.pfn.tolist()
