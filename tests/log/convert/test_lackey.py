from __future__ import annotations

import random
import re
import sys
from collections import OrderedDict
from types import SimpleNamespace

import pytest

from pghot.errors import InputError
from pghot.log.convert import Llc, convert
from tests.log.convert.trace_files import DATA, converted, metadata, write

EVENT = re.compile(r"(I | L| S| M) ([0-9a-f]+),(\d+)")
NO_CACHE = Llc(0)


def misses(text, llc, ips=10**9):
    """The plain twin: (time_us, address, write) of every access that goes to memory."""
    count = llc.size // llc.line // llc.ways
    sets = [OrderedDict() for _ in range(count)]
    instructions = 0
    for line in text.splitlines():
        found = EVENT.fullmatch(line)
        if not found:
            continue
        kind, address, size = found[1].strip(), int(found[2], 16), int(found[3])
        if kind == "I":
            instructions += 1
            continue
        first, last = address // llc.line, (address + size - 1) // llc.line
        for touched in range(first, last + 1):
            if count:
                ways = sets[touched % count]
                hit = ways.pop(touched, None)
                ways[touched] = True
                if len(ways) > llc.ways:
                    ways.popitem(last=False)
                if hit:
                    continue
            time = instructions * 1_000_000 // ips
            yield time, max(address, touched * llc.line), kind != "L"


def rows(log):
    return list(zip(log["time_us"], log["vaddr"], log["write"], strict=True))


def from_zero(expected):
    expected = list(expected)
    return [(time - expected[0][0], *rest) for time, *rest in expected]


@pytest.fixture
def run(tmp_path):
    def run(content, **options):
        source = write(tmp_path / "in.txt", content)
        if not re.search(r"^I  [0-9a-f]+,", str(content), re.MULTILINE):
            options.setdefault("order_as_time", 10**9)
        return converted(source, tmp_path / "out.parquet", format="lackey", **options)

    return run


SHAPES = [
    NO_CACHE,
    Llc(),
    Llc(64, 1, 64),
    Llc(4096, 1, 64),
    Llc(8192, 16, 64),
    Llc(3 * 1024, 4, 64),
    Llc(48 * 1024, 12, 128),
    Llc(16 * 4096, 16, 4096),
    Llc(160, 20, 8),
]


@pytest.mark.parametrize("llc", SHAPES, ids=str)
@pytest.mark.parametrize("ips", [10**9, 1_000_000, 333])
def test_a_real_trace_misses_where_the_plain_twin_does(run, llc, ips):
    text = (DATA / "lackey.txt").read_text()
    report, log = run(text, llc=llc, ips=ips)
    assert rows(log) == from_zero(misses(text, llc, ips))
    assert report.rows_in == report.rows_out + sum(report.left_out.values())


@pytest.mark.parametrize("seed", range(8))
def test_random_accesses_miss_where_the_plain_twin_does(run, seed):
    rng = random.Random(seed)
    span = rng.choice([1 << 10, 1 << 14, 1 << 20, 1 << 63])
    text = "".join(
        f"{rng.choice(['I ', ' L', ' S', ' M'])} {rng.randrange(span):08x},"
        f"{rng.choice([1, 2, 4, 8, 16, 32, 512, 4096])}\n"
        for _ in range(5000)
    )
    llc = rng.choice(SHAPES)
    _report, log = run(text, llc=llc)
    assert rows(log) == from_zero(misses(text, llc))


def test_more_misses_than_fit_one_round_are_all_kept(run, monkeypatch):
    monkeypatch.setattr("pghot.log.convert.lackey._ROWS", 600)
    text = (DATA / "lackey.txt").read_text()
    _report, log = run(text, llc=Llc(0, 16, 8))
    assert rows(log) == from_zero(misses(text, Llc(0, 16, 8)))


def test_an_access_that_spans_two_lines_touches_both(run):
    _report, log = run(" L 103c,8\n L 1044,4\n S 1038,4\n")
    assert rows(log) == [(0, 0x103C, False), (0, 0x1040, False)]


def test_a_modify_is_one_touch_that_writes(run):
    report, log = run(" M 1000,8\n S 1008,8\n")
    assert (rows(log), report.rows_in) == ([(0, 0x1000, True)], 2)


def test_the_least_recently_used_way_is_replaced(run):
    text = "".join(f" L {line << 6:x},1\n" for line in (0, 1, 0, 2, 0, 1))
    _report, log = run(text, llc=Llc(128, 2, 64))
    assert [address >> 6 for _time, address, _write in rows(log)] == [0, 1, 2, 1]


def test_time_is_instructions_over_the_given_rate(run, tmp_path):
    text = " L 1000,1\nI  10,1\nI  10,1\nI  10,1\n L 2000,1\n"
    _report, log = run(text, ips=1_500_000)
    assert log["time_us"] == [0, 2]
    assert "1500000 instructions a second" in metadata(tmp_path / "out.parquet").taken
    assert "8388608 bytes, 16 ways, 64 bytes a line" in metadata(tmp_path / "out.parquet").taken


def test_a_trace_comes_through_a_pipe(tmp_path, monkeypatch):
    _report, expected = converted(DATA / "lackey.txt", tmp_path / "out.parquet")
    with (DATA / "lackey.txt").open("rb") as stream:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
        report, log = converted("-", tmp_path / "out.parquet")
    assert (report.format, log) == ("lackey", expected)


BAD = [
    "rubbish",
    " L 1000",
    " L 1000,",
    " L ,8",
    " L 1000,0",
    " L 1000,4097",
    " L 1000,99999999999999999999",
    " L 11112222333344445,8",
    " L ffffffffffffffff,2",
    " L 1000,8,8",
    " L  1000,8",
    " X 1000,8",
    "L 1000,8",
    "I 1000,8",
    "I  10g0,8",
    " ",
    "I",
    " L",
    " L ",
    "=x",
    "\xff\xfe",
]


@pytest.mark.parametrize("bad", BAD)
def test_a_line_that_is_no_event_is_named_or_counted(run, bad):
    text = f"==1== x\n L 1000,8\n{bad}\n L 2000,8\n".encode("latin-1")
    with pytest.raises(InputError, match="line 3: no lackey event such as"):
        run(text)
    report, log = run(text, skip_bad=True)
    assert len(rows(log)) == 2
    assert report.left_out == {"bad line": 1}


@pytest.mark.parametrize("chatter", ["", "\r", "==12== Command: x", "--12-- y", "**12** z"])
def test_what_valgrind_says_is_passed_over(run, chatter):
    report, _log = run(f" L 1000,8\n{chatter}\n S 2000,8\r\n")
    assert (report.rows_in, report.left_out) == (2, {})


@pytest.mark.parametrize(
    ("llc", "ips", "says"),
    [
        (Llc(line=48), 1, "--llc-line 48: wants a power of two"),
        (Llc(line=8192), 1, "--llc-line 8192"),
        (Llc(ways=0), 1, "--llc-ways 0"),
        (Llc(ways=4096), 1, "--llc-ways 4096"),
        (Llc(size=1000), 1, "--llc-size 1000: wants a multiple of ways times line, 1024"),
        (Llc(size=-1024), 1, "--llc-size -1024"),
        (Llc(size=1 << 40), 1, "up to 1GiB"),
        (Llc(), 0, "--ips 0"),
        (Llc(), 10**13, "--ips"),
    ],
)
def test_a_cache_or_clock_that_makes_no_sense_is_refused(tmp_path, llc, ips, says):
    with pytest.raises(InputError, match=re.escape(says)):
        convert(DATA / "lackey.txt", tmp_path / "out.parquet", llc=llc, ips=ips)


def test_physical_addresses_cannot_be_had(tmp_path):
    with pytest.raises(InputError, match="has no physical addresses"):
        convert(DATA / "lackey.txt", tmp_path / "out.parquet", addresses="physical")
