"""`pghot why` as a command: what is asked for, what cannot be answered, exit statuses."""

from __future__ import annotations

import json

import pytest

from tests.log.made import LOWER
from tests.why.made import HOT, replayed

ROWS = [(10, HOT), (150, HOT), (160, LOWER)]
LIMIT = ("--set", "pghot_promote_rate_limit_MBps=0")


def test_a_person_reads_when_what_heat_and_the_answer(run, tmp_path):
    done = run("why", replayed(run, tmp_path, ROWS), hex(HOT))
    assert (done.status, done.err) == (0, "")
    words = " ".join(done.out.split())
    for part in (
        f"PFN {HOT:#x}, default mode, v7",
        "seconds what heat (2: ready)",
        "0.010 1 access (hwhint) 1",
        "0.150 1 access (hwhint) 2, becomes ready",
        "0.200 moved from node 1 to node 0 in batch 0 2",
        "What came of it: it moved to node 0 at 0.200 s.",
    ):
        assert part in words


@pytest.mark.parametrize("form", ["{}", "{:#x}", "0X{:X}"])
def test_a_pfn_may_be_decimal_or_hexadecimal(run, tmp_path, form):
    events = replayed(run, tmp_path, ROWS)
    assert run("why", events, form.format(HOT)).status == 0


def test_a_page_that_is_not_in_the_log_is_one_line_and_status_1(run, tmp_path):
    events = replayed(run, tmp_path, ROWS)
    line = run("why", events, "0x12345").refusal(1)
    assert line == f"PFN 0x12345: nothing of it in {events}"


@pytest.mark.parametrize(
    "page",
    ["", "page", "-1", "0x", "1:", ":5", "1:2:3", "0:0x1000", "12x", "0x1ffffffffffffffff",
     "99999999999999999999", "4294967296:0x1000", "+5", "1_000", "5 "],
)  # fmt: skip
def test_what_is_no_page_is_one_line_and_status_2(run, tmp_path, page):
    events = replayed(run, tmp_path, ROWS)
    done = run("why", events, "--", page)
    assert done.refusal(2).startswith(f"{page}: ")


def test_a_log_without_processes_has_no_addresses(run, tmp_path):
    events = replayed(run, tmp_path, ROWS)
    assert run("why", events, "40:0x1000").refusal(2).endswith("give a PFN")


@pytest.mark.parametrize("more", [(), ("0x5", "--refused")])
def test_a_page_or_refused_is_wanted_not_both(run, tmp_path, more):
    events = replayed(run, tmp_path, ROWS)
    assert run("why", events, *more).refusal(2).startswith("why: wants a page")


def test_what_is_no_event_log_is_said(run, tmp_path):
    assert "holds no event log" in run("why", tmp_path, "5").refusal(2)
    assert "No such file" in run("why", tmp_path / "nowhere", "5").refusal(2)


def test_refused_counts_reasons_folios_and_accesses(run, tmp_path):
    events = replayed(run, tmp_path, [*ROWS, (170, LOWER), (250, HOT), (260, HOT)], *LIMIT)
    found = json.loads(run("why", events, "--refused", "--json").out)
    assert (found["judged"], found["moved"]) == (3, 0)
    assert found["refused"] == [
        {
            "reason": "rate_limit",
            "status": "",
            "times": 3,
            "folios": 2,
            "words": "rate limit reached",
        }
    ]
    most = found["folios"][0]
    assert (most["pfn"], most["times"], most["moved"]) == (HOT, 2, False)
    assert found["accesses"] == {"recorded": 6}
    words = " ".join(run("why", events, "--refused").out.split())
    assert "3 times a ready folio was judged: 0 moved, 3 refused" in words
    assert "rate limit reached 3 2" in words


def test_a_log_of_nothing_refused_says_so(run, tmp_path):
    out = run("why", replayed(run, tmp_path, ROWS), "--refused").out
    assert "1 times" in out or "1 moved, 0 refused" in out
