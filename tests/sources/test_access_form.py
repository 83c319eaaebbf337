"""Both forms of accesses from outside say the same, and what makes no sense is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.sources.access_form import (
    AHEAD_NS,
    DTYPE,
    LONGEST_LINE,
    MAGIC,
    MOST_PAGES,
    RECORD,
    from_bytes,
    from_lines,
)
from tests.sources.feeding import binary

NOW = 10**12
NIDS = (0, 1, 4)


def lines(text: str):
    return from_lines(text.encode(), NOW, NIDS)


ACCESS = st.fixed_dictionaries(
    {
        "time_ns": st.integers(0, NOW + AHEAD_NS),
        "pid": st.sampled_from([0, 1, 4711, (1 << 31) - 1]),
        "where": st.integers(0, (1 << 52) - 1),
        "nr": st.integers(1, (1 << 32) - 1),
        "pages": st.integers(1, MOST_PAGES),
        "nid": st.sampled_from([-1, *NIDS]),
        "flags": st.integers(0, 1),
    }
)


def as_line(access: dict, *, in_hex: bool) -> str:
    where = f"{access['where']:#x}" if in_hex else str(access["where"])
    whose = f"{access['pid']}:" if access["pid"] else ""
    write = " w" if access["flags"] else ""
    time = access["time_ns"] or "-"
    return f"{time} {whose}{where} {access['nid']} {access['nr']} {access['pages']}{write}\n"


def test_a_record_has_the_length_and_places_that_the_document_says() -> None:
    assert RECORD == 32
    assert [DTYPE.fields[name][1] for name in DTYPE.names] == [0, 8, 16, 20, 24, 28, 30]


@given(accesses=st.lists(ACCESS, max_size=20), in_hex=st.booleans())
def test_the_text_form_says_what_the_binary_form_says(accesses, in_hex) -> None:
    text = "".join(as_line(access, in_hex=in_hex) for access in accesses)
    one, other = lines(text), from_bytes(binary(*accesses), NOW, NIDS)
    assert (one.bad, other.bad) == (0, 0)
    assert one.records.tolist() == other.records.tolist()
    assert len(one.records) == len(accesses)


def test_a_line_may_leave_out_what_is_one_or_unknown() -> None:
    done = lines("- 0x10\n\n# a remark\n 5\t7:0x1000 1 # and one here\r\n")
    assert done.records.tolist() == [(0, 16, 0, 1, 1, -1, 0), (5, 4096, 7, 1, 1, 1, 0)]
    assert (done.items, done.bad) == (4, 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"time_ns": NOW + AHEAD_NS + 1}, "time 1001000000001: ahead of CLOCK_MONOTONIC"),
        ({"nr": 0}, "count 0: wants 1 or more"),
        ({"pages": 0}, "pages 0: wants 1 to 262,144"),
        ({"pages": MOST_PAGES + 1}, "pages 262145: wants 1 to"),
        ({"nid": 2}, "node 2: wants -1 or one of 0, 1, 4"),
        ({"nid": -2}, "node -2: wants"),
        ({"where": 1 << 52}, "PFN 4503599627370496: wants less than 2^52"),
        ({"where": 1 << 63, "pid": 5}, "address 9223372036854775808: wants one of a process"),
        ({"pid": -1}, "pid -1: wants a process, or 0 for a PFN"),
        ({"flags": 2}, "flags 2: wants 0 or 1"),
    ],
)
def test_what_cannot_be_is_left_out_and_the_first_of_it_named(change, said) -> None:
    good = {"where": 16}
    done = from_bytes(binary(good, good | change, good, good | change), NOW, NIDS)
    assert (len(done.records), done.items, done.bad) == (2, 4, 2)
    assert done.first is not None
    assert done.first.at == 1
    assert done.first.why.startswith(said)


@pytest.mark.parametrize(
    "line",
    [
        "1",
        "x 0x10",
        "- 16 0 1 1 w more",
        "- -16",
        "- 0x10 0 -1",
        "1.5 16",
        "- 0b1",
        "- 1:2:3",
        "- 1: 2",
        "- 99999999999999999999",
        "- 0x10 99999",
        "- 0x10 0 9999999999",
        "- 9999999999:0x10",
        MAGIC.decode(),
        "- ٣",
    ],
)
def test_a_line_that_is_none_is_named_with_what_was_wanted(line) -> None:
    done = lines(f"- 0x10\n{line}\n- 0x11\n")
    assert (done.records["where"].tolist(), done.bad) == ([16, 17], 1)
    assert done.first is not None
    assert done.first.at == 1
    assert "wants TIME PFN|PID:ADDRESS [NODE [COUNT [PAGES [w]]]]" in done.first.why


def test_process_0_is_no_frame() -> None:
    done = lines("- 0:0x1000\n")
    assert (len(done.records), done.bad) == (0, 1)


def test_of_several_kinds_of_what_is_wrong_the_first_line_is_named() -> None:
    done = lines("- 0x10 0 0\nno line\n- 0x10 7\n")
    assert (done.bad, done.first.at) == (3, 0)
    assert lines("no line\n- 0x10 0 0\n").first.at == 0


@given(data=st.binary(max_size=400))
def test_any_bytes_are_decoded_or_counted(data: bytes) -> None:
    whole = data[: len(data) // RECORD * RECORD]
    for done in (from_bytes(whole, NOW, NIDS), from_lines(data, NOW, NIDS)):
        assert len(done.records) + done.bad <= done.items
        assert (done.first is None) == (done.bad == 0)
        assert np.isin(done.records["nid"], [-1, *NIDS]).all()
    assert from_bytes(whole, NOW, NIDS).items == len(whole) // RECORD


def test_the_longest_line_that_makes_sense_is_taken() -> None:
    line = f"{1 << 39:020} {(1 << 31) - 1:010}:0x{1:016x} -0001 {9:010} {1:010} w"
    assert len(line) < LONGEST_LINE
    assert lines(line + "\n").bad == 0
