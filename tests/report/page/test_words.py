"""The summary says in sentences what came of runs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.report.page.words import percent, summary
from tests.report.page.made_runs import a_run


def test_it_says_that_promotion_paid_and_how_much() -> None:
    first, second, *_ = summary([a_run()])
    assert first == (
        "Promotion paid: the top tier served 75.0 % of 1,000 accesses in 4.0 s; "
        "without promotion it would have been 25.0 %."
    )
    assert second == "1,024 pages (4.0 MiB) were promoted."


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.25, "made no difference"), (0.255, "made no difference"), (0.1, "cost"), (0.3, "paid")],
)
def test_it_says_when_promotion_did_not_pay(share: float, verdict: str) -> None:
    assert summary([a_run(share=share)])[0].startswith(f"Promotion {verdict}:")


def test_it_says_what_was_refused_and_why_the_most_frequent_first() -> None:
    line = summary([a_run(refused={"isolation": 2, "rate_limit": 40, "threshold": 0})])[2]
    assert line == (
        "A page that was found hot was refused 42 times: 40 times rate limit reached; "
        "2 times not isolated: unmovable, or no room on the target."
    )


def test_it_says_that_nothing_was_refused_only_where_that_is_known() -> None:
    assert summary([a_run()])[2] == "No page that was found hot was refused."
    line = summary([a_run(refused=None, why={"refused": "it is an old result"})])[2]
    assert line == "What was refused is not known: it is an old result."


def test_it_says_how_near_the_rate_limit_was() -> None:
    assert "At most 1.0 MB/s were promoted (over 1 s), 10.0 % of the rate limit." in summary(
        [a_run()]
    )


def test_it_says_why_the_share_is_not_known() -> None:
    run = a_run(kind="run", share=None, share_without=None, why={"fast": "hint faults only"})
    assert summary([run])[0] == (
        "Whether promotion paid is not known (hint faults only): "
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
        "fast paid: 50.0 % less time (5.00 s, 75.0 % of the accesses fast).",
        "same made no difference to the time (10.01 s, 75.0 % of the accesses fast).",
        "slow cost: 20.0 % more time (12.00 s, 75.0 % of the accesses fast).",
    ]


def test_replays_are_held_against_each_other_by_the_share_served_fast() -> None:
    runs = [a_run("low", share=0.3), a_run("high", share=0.9)]
    assert summary(runs)[0] == "high served most accesses fast, 90.0 %; low fewest, 30.0 %."
    assert summary(runs)[1].startswith(
        "low: Promotion paid (30.0 % fast, 25.0 % without). 1,024 pages (4.0 MiB) were promoted."
    )


@given(st.floats(0, 1))
@settings(deadline=None)
def test_only_none_and_all_are_written_as_such(share: float) -> None:
    assert (percent(share) == "0.0 %") == (share == 0)
    assert (percent(share) == "100.0 %") == (share == 1)
