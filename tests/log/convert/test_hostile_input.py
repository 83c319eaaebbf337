from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pghot.errors import PghotError
from pghot.log.convert import FORMATS, Llc, convert
from tests.log.convert.trace_files import DATA

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
SEEDS["csv"] = [b"time,address\n1,4096\n2,0x2000\n3,18446744073709551615\n"]
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


FUZZ = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


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
