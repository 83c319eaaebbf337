"""Traces of other tools: DAMON, page faults, drmemtrace, ChampSim, perf mem, Arm SPE."""

from __future__ import annotations

import json
import struct
import zlib
from collections import Counter

import pytest

from pghot.errors import InputError
from pghot.log.convert import Llc
from tests.log.convert.trace_files import (
    ADDR,
    IDENTIFIER,
    PHYS,
    TIME,
    Event,
    PerfFile,
    converted,
    metadata,
    q,
    record,
    sample,
    write,
)

NO_CACHE = Llc(0)


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        return converted(write(tmp_path / "in", content), tmp_path / "out.parquet", **options)

    return run


@pytest.fixture
def refused(tmp_path):
    def refused(content, **options):
        source = write(tmp_path / "in", content)
        with pytest.raises(InputError) as caught:
            converted(source, tmp_path / "refused.parquet", **options)
        return str(caught.value).removeprefix(f"{source}: ")

    return refused


def tracepoint(time, regions, target=0):
    return "".join(
        f"  kdamond.0  77 [001]  {time}: damon:damon_aggregated: target_id={target} "
        f"nr_regions={len(regions)} {start << 12}-{end << 12}: {seen} 20\n"
        for start, end, seen in regions
    )


def test_each_access_that_damon_saw_is_a_row_in_its_region(run):
    text = tracepoint("5.000000", [(100, 200, 20), (200, 900, 0)]) + tracepoint(
        "5.100000", [(100, 200, 10), (300, 301, 7)]
    )
    report, log = run(text)
    assert report.format == "damon"
    assert Counter(log["time_us"]) == {0: 20, 100_000: 17}
    pages = [address >> 12 for address in log["vaddr"]]
    assert set(pages[:20]) <= set(range(100, 200))
    assert len(set(pages[:20])) == 20
    assert pages[-7:] == [300] * 7
    assert any("DAMON tells regions, not pages" in note for note in report.notes)


def test_the_pages_that_stand_for_a_region_take_turns(run):
    text = "".join(tracepoint(f"{at}.000000", [(0, 50, 20)]) for at in range(1, 60))
    _report, log = run(text)
    seen = Counter(address >> 12 for address in log["vaddr"])
    assert set(seen) == set(range(50))
    assert max(seen.values()) < 2 * min(seen.values())


def test_regions_without_any_access_are_told_so(refused):
    assert "DAMON saw no access in any of its 2" in refused(
        tracepoint("5.000000", [(1, 2, 0), (2, 9, 0)])
    )


def test_one_region_is_told_in_the_singular(refused):
    assert "any of its 1 region" in refused(tracepoint("5.000000", [(1, 2, 0)]))


def test_what_damo_marks_and_other_events_are_passed_over(run):
    event = "damon:damon_aggregated: target_id=0 nr_regions=1"
    lines = (
        "cpus=2\n",
        "CPU 1 is empty\n",
        tracepoint("5.000000", [(1, 2, 3)]),
        "CPU:1 [LOST 12 EVENTS]\n",
        "kdamond.0  77 [001]  5.000001: damon:damon_monitor_intervals_tune: sample_us=80000\n",
        "kdamond.0-77 [001] ..... 5.000002: damos_before_apply: ctx_idx=0 nr_regions=1 1-2: 1 2\n",
        # damo's own perf_script form, and its mark for a file of one snapshot
        f"kdamond.x xxxx xxxx 5.100000: {event} 4096-8192: 2 20\n",
        f"kdamond.x xxxx xxxx 5.200000: {event} 0-0: -1 -1\n",
    )
    report, log = run("".join(lines))
    assert Counter(log["time_us"]) == {0: 3, 100_000: 2}
    assert report.left_out == {"another event": 2}


def test_damons_targets_have_pages_of_their_own(run):
    text = tracepoint("5.000000", [(1, 2, 3)]) + tracepoint("5.000001", [(1, 2, 3)], target=1)
    assert run(text)[0].pages == 2
    assert run(text, addresses="physical")[1]["pfn"] == [1] * 6


def test_a_part_of_a_raw_report_is_known(run):
    text = "monitoring_start: 0 ns\nmonitoring_end: 1 s\ntarget_id: 0\n0-2000( 8 KiB): 2\n"
    assert run(text)[0].format == "damon"


def test_the_raw_report_of_damo_is_read(run):
    text = (
        "base_time_absolute: 23 h 20.852 s\n\nmonitoring_start:                0 ns\n"
        "monitoring_end:            100.469 ms\ntarget_id: 0\nnr_regions: 2\n"
        "000055b8a2400000-000055b8a27bb000(   3.730 MiB):  2\n"
        "000055b8a27bb000-000055b8a27bc000(   4.000 KiB):  1,000 3\n\n"
        "monitoring_start:        100.469 ms\nmonitoring_end:  1 m 0.1 s\n"
        "target_id: 0\nnr_regions: 1\n000055b8a2400000-000055b8a2401000( 4 KiB): 4\n"
    )
    _report, log = run(text)
    assert Counter(log["time_us"]) == {0: 1002, 60_100_000 - 100_469: 4}
    assert log["vaddr"][-1] == 0x55B8A2400000


def test_a_damon_data_that_unpacks_to_too_much_is_refused(refused, monkeypatch):
    monkeypatch.setattr("pghot.log.convert.damon._MOST_BYTES", 1 << 20)
    content = b'[{"snapshots":[' + b" " * (1 << 21)
    for file in content, zlib.compress(content):
        assert "more than 1 MiB of JSON; damo convert_record_format" in refused(file)


def damon_data(snapshots=((100_000_000, [(4096, 8192, 3)]),)):
    def number(value):
        return f"{value:,}"

    return json.dumps(
        [
            {
                "kdamond_idx": "0",
                "target_id": "0",
                "snapshots": [
                    {
                        "start_time": "0",
                        "end_time": number(end),
                        "regions": [
                            {
                                "start": number(first),
                                "end": number(last),
                                "nr_accesses": {"samples": number(seen), "percent": None},
                                "age": {"usec": "0"},
                            }
                            for first, last, seen in regions
                        ],
                    }
                    for end, regions in snapshots
                ],
            }
        ]
    ).encode()


@pytest.mark.parametrize("pack", [bytes, zlib.compress], ids=["json", "zlib"])
def test_damos_own_file_is_read(run, pack):
    content = damon_data([(2_000_000, [(4096, 8192, 3)]), (3_000_000, [(8192, 12288, 1)])])
    _report, log = run(pack(content))
    assert (log["time_us"], log["vaddr"]) == ([0, 0, 0, 1000], [4096] * 3 + [8192])


@pytest.mark.parametrize(
    "content",
    [
        damon_data()[:-20],
        damon_data().replace(b'"samples": "3"', b'"samples": "x"'),
        damon_data().replace(b'"end_time"', b'"end"'),
        zlib.compress(damon_data())[:-9],
        damon_data([(1, [(8192, 4096, 1)])]),
        damon_data([(1, [(0, 4096, 1 << 40)])]),
    ],
)
def test_damaged_damon_data_is_refused(refused, content):
    assert "damon" in refused(content, format="damon").lower()


FAULTS = {
    "perf": "  bash   930 [003]  6288.896762: exceptions:page_fault_user: address=0x55bc6c5557d0 "
    "ip=0x7ff74f7aa84c error_code=0x7\n",
    "ftrace": "bash-930   [003] d...  6288.896762: page_fault_user: address=0x55bc6c5557d0 "
    "ip=0x7ff74f7aa84c error_code=0x7\n",
    "ftrace with processes": " my-prog 2-931 (    930) [003] d.Z1.  6288.896762: page_fault_user: "
    "address=0x55bc6c5557d0 ip=0x7ff74f7aa84c error_code=0x7\n",
    "perf with periods": "  bash   930/931 [003]  6288.896762:          1 exceptions:"
    "page_fault_user: address=0x55bc6c5557d0 ip=0x7ff74f7aa84c error_code=0x7\n",
    "trace-cmd": "version = 7\ncpus=2\nCPU 1 is empty\n"
    "   <...>-930   [003]  6288.896762: page_fault_user:      "
    "address=0x55bc6c5557d0 ip=0x7ff74f7aa84c error_code=0x7\n",
}


@pytest.mark.parametrize("tool", FAULTS)
def test_page_faults_are_hint_faults_at_their_address(run, tool):
    text = f"# tracer: nop\n#\n{FAULTS[tool]}"
    later = FAULTS[tool].splitlines()[-1].replace("6288.8", "6289.8").replace("0x7\n", "0x4\n")
    report, log = run(text + "CPU:1 [LOST 12 EVENTS]\n" + later.replace("code=0x7", "code=0x4"))
    assert report.format == "page-faults"
    del log["pfn"], log["nid"]
    assert log == {
        "time_us": [0, 1_000_000],
        "source": [0, 0],
        "pid": [930, 930],
        "vaddr": [0x55BC6C5557D0] * 2,
        "cpu": [3, 3],
        "write": [True, False],
    }
    assert any("12 events lost" in note for note in report.notes)


def test_other_tracepoints_and_faults_on_symbols_are_left_out(run):
    switch = "  bash-930 [003] d...  6288.800000: sched_switch: prev_comm=bash prev_pid=930\n"
    timer = "  bash 930/930 [003]  6288.810000: timer:timer_start: timer=0x7f0000001000\n"
    symbol = FAULTS["ftrace"].replace("0x55bc6c5557d0", "vmemmap_base").replace("user", "kernel")
    dropped = "CPU:3 [EVENTS DROPPED]\n"
    report, log = run(switch + timer + symbol + dropped + FAULTS["ftrace"])
    assert (report.format, len(log["pfn"])) == ("page-faults", 1)
    assert report.left_out == {"another event": 2, "no address": 1}
    assert report.rows_in == 4


VIEW = """\
Output format:
<--record#-> <--instr#->: <---tid---> <record details>
------------------------------------------------------------
           1           0:     3264661 <marker: version 3>
           5           0:     3264661 <marker: page size 4096>
           6           0:     3264661 <marker: timestamp 13312411492352742>
           7           0:     3264661 <marker: tid 3264661 on core 5>
           8           1:     3264661 ifetch       3 byte(s) @ 0x00007ffff7fd0100 non-branch
           9           1:     3264661 write        8 byte(s) @ 0x00007fffffffdd88 by PC 0x7ff103
          10           1:     3264661 <marker: timestamp 13312411492352942>
          11           2:     3264661 read         8 byte(s) @ 0x00007fffffffcd88 by PC 0x7ff103
          12           2:     3264661 read         8 byte(s) @ 0x00007fffffffcd80 by PC 0x7ff103
View tool results:
              10 : total instructions
"""


def test_the_view_of_drmemtrace_passes_the_cache_and_has_its_timestamps(run, refused):
    report, log = run(VIEW)
    assert (log["time_us"], log["write"], log["cpu"]) == ([0, 200], [True, False], [5, 5])
    assert log["vaddr"] == [0x7FFFFFFFDD88, 0x7FFFFFFFCD88]
    assert report.left_out == {"hit the cache": 1}
    assert len(run(VIEW, llc=NO_CACHE)[1]["pfn"]) == 3
    bare = "\n".join(line for line in VIEW.splitlines() if "timestamp" not in line)
    assert "--order-as-time" in refused(bare)
    assert run(bare, order_as_time=1000, llc=NO_CACHE)[1]["time_us"] == [0, 1000, 2000]


def test_drmemtraces_workloads_have_pages_of_their_own(run):
    text = VIEW.replace("     3264661 ", "    W0.T3264661 ").replace("tid 3264661", "W0.T3264661")
    _report, log = run(text)
    assert log["cpu"] == [5, 5]
    other = (
        "          13           1:    W1.T7 read         8 byte(s) @ 0x00007fffffffdd88 by PC 0x1"
    )
    report, log = run(text.replace("View tool", f"{other}\nView tool"), llc=NO_CACHE)
    assert (len(log["pfn"]), report.pages) == (4, 3)


def instruction(at, reads=(), writes=()):
    read = [*reads, 0, 0, 0, 0][:4]
    written = [*writes, 0, 0][:2]
    return struct.pack("<Q8B2Q4Q", 0x400000 + 4 * at, 0, 0, 1, 2, 3, 4, 5, 6, *written, *read)


def test_champsims_instructions_are_the_clock(run, refused):
    content = b"".join(
        instruction(at, reads=[0x7F00_0000_0000 + (at << 12)], writes=[0x6000_0000])
        for at in range(3000)
    )
    report, log = run(content, ips=1000)
    assert report.format == "champsim"
    assert log["time_us"][:3] == [0, 0, 1000]
    assert log["write"][:3] == [False, True, False]
    assert (report.rows_in, len(log["pfn"])) == (6000, 3001)
    assert "truncated" in refused(content[:-3])
    assert run(zlib_free(content), ips=1000)[1] == log


def zlib_free(content):
    import lzma  # noqa: PLC0415 - ChampSim's traces are packed with xz

    return lzma.compress(content)


@pytest.mark.parametrize("mark", [", ", ","])
def test_perf_mems_dump_has_the_order_it_is_given(run, refused, mark):
    names = ["# PID", "TID", "IP", "ADDR", "LOCAL WEIGHT", "DSRC", "SYMBOL"]
    row = ["4321", "4322", "0x4005d0", "0x7f1234567000", "33", "0x68100142", "/opt/w:loop"]
    text = mark.join(names) + "\n" + ("  " if mark == ", " else ",").join(row) + "\n"
    assert "no times" in refused(text)
    report, log = run(text + text.splitlines()[1], order_as_time=100)
    assert report.format == "perf-mem"
    assert (log["time_us"], log["vaddr"]) == ([0, 10_000], [0x7F1234567000] * 2)
    assert log["pid"] == [4321, 4321]


def spe(when, virtual=None, physical=None, operation=(0x49, 0), context=None):
    """One record of SPE: packets, and the timestamp that ends it."""
    packets = b"\xb0" + struct.pack("<Q", 0x400000) + bytes(operation) + b"\x52\x16\x00"
    packets += b"\x98\x10\x00\x99\x20\x00"
    if virtual is not None:
        packets += b"\xb2" + struct.pack("<Q", virtual)
    if physical is not None:
        packets += b"\xb3" + struct.pack("<Q", physical | 1 << 63)
    if context is not None:
        packets += b"\x64" + struct.pack("<I", context)
    return packets + b"\x71" + struct.pack("<Q", when)


def spe_file(trace, more=(), clock=(0, 1, 1000), cpu=3):
    event = Event(TIME | IDENTIFIER)
    info = record(70, struct.pack("<IIQ", 4, 0, 0))
    conv = [record(79, q(*clock))] if clock else []
    head = struct.pack("<QQQIIII", len(trace), 0, 0, 0, 0xFFFFFFFF, cpu, 0)
    comm = record(3, struct.pack("<II", 70, 71) + b"load\0\0\0\0")
    records = [info, *conv, comm, *more, record(71, head) + trace]
    return PerfFile([event], records).to_bytes()


def test_each_record_of_arm_spe_is_one_row(run, tmp_path):
    trace = b"\0\0".join(
        [
            spe(5_000_000, 0x7F00_0000_1ABC, 0x1_F000_1ABC, context=71),
            spe(9_000_000, 0xB4FF_8881_0000_1000, 0x2_0000_1000, operation=(0x49, 1), context=99),
            spe(9_500_000),
            spe(9_800_000, operation=(0x4A, 1)),
        ]
    )
    report, log = run(spe_file(trace))
    assert log == {
        "time_us": [0, 4000],
        "pfn": [0x1F0001, 0x200001],
        "nid": [-1, -1],
        "source": [1, 1],
        "pid": [70, 99],
        "vaddr": [0x7F00_0000_1ABC, 0xFF_8881_0000_1000 | 0xFF << 56],
        "cpu": [3, 3],
        "write": [False, True],
    }
    assert report.left_out == {"no load or store": 2}
    assert metadata(tmp_path / "out.parquet").taken_by == "perf: arm_spe"


def test_spes_counter_becomes_perfs_time(run):
    trace = spe(1 << 10, 0x1000, context=1) + spe(1 << 20, 0x2000, context=1)
    _report, log = run(spe_file(trace, clock=(10, 4_000_000, 7)))
    assert log["time_us"] == [0, (1 << 20 >> 10) * 4000 - 4000]


def test_spe_without_a_clock_or_cut_off_is_told(run, refused):
    good = spe(5_000_000, 0x1000, context=1)
    assert "makes perf's time" in refused(spe_file(good, clock=None))
    report, _log = run(spe_file(good + good[:-3]))
    assert report.left_out == {"cut off": 1}
    assert "is no packets" in refused(spe_file(b"\xff" * 400))


def test_samples_of_the_kernel_and_of_spe_go_into_one_log(run):
    content = spe_file(spe(5_000_000, 0x1000, context=1))
    assert len(run(content)[1]["pfn"]) == 1
    event = Event(TIME | ADDR | PHYS)
    trace = spe(5_000_000, 0x1000, context=1)
    head = struct.pack("<QQQIIII", len(trace), 0, 0, 0, 0xFFFFFFFF, 3, 0)
    records = [
        record(70, struct.pack("<IIQ", 4, 0, 0)),
        record(79, q(0, 1, 0)),
        sample(4_000_000, 0x5000, 0),
        record(71, head) + trace,
    ]
    _report, log = run(PerfFile([event], records).to_bytes())
    assert (log["time_us"], log["vaddr"]) == ([0, 1000], [0x5000, 0x1000])
