"""The summary says in sentences what came of runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.report.page.words import percent, summary
from tests.report.page.made_runs import a_run

PAYS = {
    "verdict": "pays", "against": "first touch", "saved_s": [0.5, 0.6], "moves_s": 0.01,
    "span_s": 4.0, "accesses_a_row": 2.0, "not_in_it": ["demotion"], "prices": {
        "fast_ns": 90.0, "slow_ns": 250.0, "page_us": 2.4, "latency_source": "HMAT",
        "move_source": "assumed",
    },
}  # fmt: skip
SHARES = {"first_touch": (0.4, 0.3), "bound": (0.9, 0.95)}


def test_the_verdict_comes_first_then_the_shares_beside_those_without_promotion() -> None:
    lines = summary([a_run(time=PAYS, baselines=SHARES, steady_share=0.8)])
    assert lines[:6] == [
        ("Promotion pays against first touch: it saves 500.0 ms to 600.0 ms of memory time in "
        "4.0 s, moves paid for (10.0 ms)."),
        "The top tier served 75.0 % of 1,000 accesses in 4.0 s.",
        "The same accesses, by first touch 40.0 %, the hottest pages that fit (bound) 90.0 %.",
        ("In the second half: 80.0 %; by first touch 30.0 %, the hottest pages that fit (bound) "
        "95.0 %."),
        ("Prices: 90 ns a fast access, 250 ns a slow one (HMAT); 2.4 us a page moved (assumed); "
        "a row for 2."),
        "Not in it: demotion.",
    ]  # fmt: skip


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_a_share_alone_never_says_that_promotion_paid(share: float) -> None:
    first, second, third, moved, *_ = summary([a_run(share=share)])
    assert first.startswith("Promotion: cannot be told")
    assert second.startswith(f"The top tier served {percent(share)} of 1,000 accesses")
    assert third == "Without promotion it would have been 25.0 %."
    assert moved == "1,024 pages (4.0 MiB) were promoted."


def test_a_rate_over_its_limit_is_explained() -> None:
    (line,) = [line for line in summary([a_run(rate_limit_MBps=0.5)]) if "rate limit" in line]
    assert "200.0 % of the rate limit." in line
    assert "pgpromote_candidate_nrl" in line


def test_it_says_what_was_refused_and_why_the_most_frequent_first() -> None:
    line = summary([a_run(refused={"isolation": 2, "rate_limit": 40, "threshold": 0})])[4]
    assert line == (
        "A page that was found hot was refused 42 times: 40 times rate limit reached; "
        "2 times not isolated: unmovable, or no room on the target."
    )


def test_it_says_that_nothing_was_refused_only_where_that_is_known() -> None:
    assert summary([a_run()])[4] == "No page that was found hot was refused."
    line = summary([a_run(refused=None, why={"refused": "it is an old result"})])[4]
    assert line == "What was refused is not known: it is an old result."


def test_it_says_how_near_the_rate_limit_was() -> None:
    assert "At most 1.0 MB/s were promoted (over 1 s), 10.0 % of the rate limit." in summary(
        [a_run()]
    )


def test_it_says_why_the_share_is_not_known() -> None:
    run = a_run(kind="run", share=None, share_without=None, why={"fast": "hint faults only"})
    assert summary([run])[1] == (
        "What the top tier served is not known (hint faults only): "
        "1,000 accesses were seen in 4.0 s."
    )


def test_policies_are_held_against_the_run_without_promotion_the_fastest_first() -> None:
    runs = [
        a_run("none", run_s=10.0, promoted=0, share=0.0),
        a_run("slow", run_s=12.0),
        a_run("same", run_s=10.01),
        a_run("fast", run_s=5.0),
    ]
    assert summary(runs)[:4] == [
        "Without promotion the run took 10.00 s.",
        "fast pays: 50.0 % less time (5.00 s, 75.0 % of the accesses fast).",
        (
            "same cannot be told to pay: under 1.0 % of the time apart, with one seed (10.01 s, "
            "75.0 % of the accesses fast)."
        ),
        "slow does not pay: 20.0 % more time (12.00 s, 75.0 % of the accesses fast).",
    ]


def test_replays_are_held_against_each_other_by_the_share_served_fast() -> None:
    runs = [a_run("low", share=0.3), a_run("high", share=0.9)]
    assert summary(runs)[0] == "high served most accesses fast, 90.0 %; low fewest, 30.0 %."
    assert summary(runs)[1].startswith("low: Promotion: cannot be told (")
    assert " 1,024 pages (4.0 MiB) were promoted." in summary(runs)[1]


def test_runs_without_one_that_promotes_nothing_are_ranked_by_run_time() -> None:
    runs = [a_run("slow", run_s=12.0), a_run("fast", run_s=5.0)]
    assert summary(runs)[0] == "By run time: fast 5.00 s; slow 12.00 s."


@given(st.floats(0, 1))
@settings(deadline=None)
def test_only_none_and_all_are_written_as_such(share: float) -> None:
    assert (percent(share) == "0.0 %") == (share == 0)
    assert (percent(share) == "100.0 %") == (share == 1)
