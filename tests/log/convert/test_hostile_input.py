from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pghot.errors import PghotError
from pghot.log.convert import FORMATS, Llc, convert
from tests.log.convert.trace_files import ADDR, DATA, TIME, Event, PerfFile, q, record, sample

REAL = {
    "perf-data": ["faults.data", "chain.data", "regs.data"],
    "perf-script": ["faults.txt", "regs.txt"],
    "lackey": ["lackey.txt"],
    "csv": [],
}
SEEDS = {
    name: [(DATA / file).read_bytes()[: 1 << 13] for file in files] for name, files in REAL.items()
}
SEEDS["perf-data"] = [(DATA / file).read_bytes() for file in REAL["perf-data"]]
SEEDS["lackey"] = [SEEDS["lackey"][0][:2000]]
SEEDS["csv"] = [
    b"time,address\n1,4096\n2,0x2000\n3,18446744073709551615\n",
    b"time_ns,pfn,pid,cpu,nid,type,weight\n1000,7,1,2,0,W,9\n2000,0x8,1,2,-1,READ,1\n",
]
SEEDS["perf-script"] += [
    b" a 9/9 [001] 5.000005: mem-loads: 7f0000001abc 10268100142 |OP LOAD|LVL L1 hit|SNP N/A|"
    b"TLB N/A|LCK No|BLK  N/A 33 4 0 401136 f+0x1 (/a) 1f0001abc 4K\n" * 3,
    b"VM:1 VCPU:001 q 7/7 [-1] 6.000000: e: 7f0000002abc 0\n a 1 2.0: PERF_RECORD_LOST lost 1\n",
]
SEEDS["page-faults"] = [
    b"bash-930 [003] d... 6288.896762: page_fault_user: address=0x55 ip=0x7f error_code=0x7\n" * 3,
    b" bash 930 [003] 6.896762: exceptions:page_fault_user: address=0x5 ip=0x7 error_code=0x4\n",
]
SEEDS["perf-mem"] = [
    b"# PID, TID, IP, ADDR, LOCAL WEIGHT, DSRC, SYMBOL\n 1  2  0x4005d0  0x7f12345  33  0x6  /o\n",
]
SEEDS["damon"] = [
    b" k 77 [001] 5.0: damon:damon_aggregated: target_id=0 nr_regions=1 4096-81920: 7 20\n",
    b" k 77 [001] 5.000000: damon_aggregated: target_id=0 nr_regions=1 4096-81920: 7\n" * 3,
    (
        b"base_time_absolute: 23 h 20.852 s\nmonitoring_end: 100.469 ms\ntarget_id: 0\n"
        b"000055b8a2400000-000055b8a27bb000(   3.730 MiB):  2\n"
    ),
    (
        b'[{"target_id":"0","snapshots":[{"end_time":"1,000","regions":[{"start":"4,096",'
        b'"end":"8,192","nr_accesses":{"samples":"3"}}]}]}]'
    ),
]
SEEDS["drmemtrace"] = [
    (
        b"  6  0:  3264661 <marker: timestamp 13312411492352742>\n"
        b"  7  0:  3264661 <marker: tid 3264661 on core 5>\n"
        b"  9  1:  3264661 write  8 byte(s) @ 0x00007fffffffdd88 by PC 0x1\n"
    ),
]
SEEDS["champsim"] = [
    b"".join(
        (0x400000 + at).to_bytes(8, "little")
        + bytes(24)
        + (at << 12).to_bytes(8, "little")
        + bytes(24)
        for at in range(1, 9)
    ),
]
WORDS = b'\n| |,|/|:|.|0x|[|]|\0|\xff|-1|I  | L |==1==|1.000000:|\r\n|#|"|a|7'.split(b"|")
ALPHABET = st.sampled_from([*WORDS, b"|OP ", b"9" * 25, b"f" * 17])
TEXTS = st.lists(ALPHABET, max_size=60).map(b"".join)


def check(content, name, **options):
    """Nothing but a clean error or a log may come of it, and no other file."""
    with tempfile.TemporaryDirectory() as directory:
        source, out = Path(directory, "in"), Path(directory, "out.parquet")
        source.write_bytes(content)
        try:
            report = convert(source, out, format=name, **options)
        except PghotError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017 - an error is one of two good ends
            assert [path.name for path in Path(directory).iterdir()] == ["in"]
            return
        assert report.rows_in == report.rows_out + sum(report.left_out.values())
        assert report.rows_out > 0
        assert sorted(path.name for path in Path(directory).iterdir()) == ["in", "out.parquet"]


def options():
    return st.fixed_dictionaries(
        {
            "skip_bad": st.booleans(),
            "addresses": st.sampled_from(["auto", "physical", "virtual"]),
            "llc": st.sampled_from([Llc(0), Llc(1024, 2, 64)]),
            "sample": st.sampled_from([1, 3]),
            "order_as_time": st.sampled_from([None, 1, 10**9]),
            "start": st.sampled_from(["first-touch", "slow"]),
            "fields": st.sampled_from([None, None, "pid,tid,cpu,time,event,addr,phys_addr"]),
        }
    )


@st.composite
def mutated(draw, seeds):
    """A real file with bytes changed, cut out, put in or doubled."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 16))
        new = draw(st.binary(max_size=16) | ALPHABET | st.just(bytes(content[at : at + length])))
        if draw(st.booleans()):
            length = len(new)
        content[at : at + length] = new
    return bytes(content)


FUZZ = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", [None, *FORMATS])
@FUZZ
@example(content=b"", options={})
@example(content=b"\n", options={})
@example(content=b"\n" * 5000, options={"skip_bad": True})
@example(content=b"x" * 70_000, options={"skip_bad": True})
@example(content=b"1" * 70_000 + b"\n", options={"skip_bad": True})
@example(content=b"1 " * 20_000 + b"\n", options={"skip_bad": True})
@example(content=b"a:" * 20_000 + b"\n", options={"skip_bad": True})
@example(content=b",," * 20_000 + b"\n", options={"skip_bad": True})
@example(content=b" L " + b"0" * 40_000 + b",1\n", options={"skip_bad": True})
@example(content=b"PERFILE2", options={})
@example(content=b"PERFILE2" + b"\xff" * 200, options={})
@given(content=st.binary(max_size=300) | TEXTS, options=options())
def test_random_bytes_never_give_more_than_one_clear_line(name, content, options):
    check(content, name, **options)


def packed_trace():
    """Records of Arm SPE, and samples packed with zstd, in one perf.data."""
    packets = b"\xb2" + (0x7F00 << 12).to_bytes(8, "little") + b"\x49\x01"
    packets += b"\x71" + (5000).to_bytes(8, "little")
    frame = b"\x28\xb5\x2f\xfd\x00\x58" + (24 << 3).to_bytes(3, "little") + sample(1000, 1 << 20)
    head = struct.pack("<QQQIIII", len(packets) * 4, 0, 0, 0, 7, 3, 0)
    records = [
        record(70, struct.pack("<IIQ", 4, 0, 0)),
        record(79, q(0, 1, 0)),
        record(81, frame),
        record(71, head) + packets * 4,
    ]
    return PerfFile([Event(TIME | ADDR)], records).to_bytes()


SEEDS["perf-data"].append(packed_trace())


@pytest.mark.parametrize("name", FORMATS)
@FUZZ
@given(data=st.data(), options=options())
def test_a_damaged_trace_never_gives_more_than_one_clear_line(name, data, options):
    check(data.draw(mutated(SEEDS[name])), name, **options)


@settings(FUZZ, max_examples=60)
@given(
    at=st.integers(0, 600),
    value=st.sampled_from([0, 1, 7, 0x7FFF, 0xFFFF, 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1]),
    seed=st.sampled_from(SEEDS["perf-data"]),
    options=options(),
)
def test_giant_numbers_in_a_header_never_give_more_than_one_clear_line(at, value, seed, options):
    content = bytearray(seed)
    content[at : at + 8] = value.to_bytes(8, "little")
    check(bytes(content), "perf-data", **options)
