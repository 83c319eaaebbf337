"""What is said of whether a run helped: what is known, what is not, and no more."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pghot.driving.run_state import HostFigures
from pghot.report.helps import figure, helps_lines, short_line, trial_lines
from tests.published import helps, published_state, spans

SPAN = {"samples": 1000, "fast": 400, "fast_share": 0.4}
LATER = {"samples": 2000, "fast": 1500, "fast_share": 0.75}
RATE = {"faults": 900, "per_s": 30.0}
STALL = {"some": 0.013, "full": 0.0, "some_us": 1, "full_us": 0}


def live(stayed: dict[str, int] | None = None, **parts: Any) -> HostFigures:
    return published_state(live={"helps": helps(**parts)} | (stayed or {})).live


def served(since: dict[str, Any] | None = LATER, before: dict[str, Any] = SPAN) -> dict[str, Any]:
    return spans(LATER, before=before, since=since) | {"by_node": {}}


def faults() -> dict[str, Any]:
    return spans(RATE, last=RATE | {"per_s": 3.0})


def test_with_hardware_samples_shares_are_told_and_that_they_are_no_run_time() -> None:
    first, last = helps_lines(live(served=served()))
    assert first == (
        "The top tier served 40.0 % of 1,000 sampled accesses before the first promotion, 75.0 % "
        "of 2,000 sampled accesses since, 75.0 % in the last 10 s."
    )
    assert "not how long the program took" in last


def test_few_samples_before_are_told_as_few() -> None:
    few = {"samples": 9, "fast": 3, "fast_share": 1 / 3}
    assert "too few samples to compare with" in helps_lines(live(served=served(before=few)))[0]


def test_with_hint_faults_alone_it_says_that_they_cannot_tell_and_what_can() -> None:
    stayed = {"looked_at_after_a_minute": 50, "demoted_within_a_minute": 1}
    stall = spans(STALL) | {"of": "/proc/pressure/memory"}
    told = live(stayed, slow_faults=faults(), memory_stall=stall)
    cannot, known, how = helps_lines(told)
    assert cannot.startswith("Did it help?  Hint faults cannot tell")
    assert known == (
        "Known: 30 hint faults a second on slow pages, 3 in the last 10 s (the pace of the scan "
        "moves that as well); 98.0 % of 50 promoted pages still fast after a minute; some task "
        "stood still for memory 1.3 % of the time (/proc/pressure/memory)."
    )
    assert "--trial 10m --metric-command COMMAND" in how


def test_an_older_runs_summary_says_nothing() -> None:
    assert helps_lines(published_state().live) == []
    assert short_line(None) == ""


def test_the_status_has_the_share_lately_and_before() -> None:
    assert short_line(live(served=served()).helps) == "served fast 75% (before 40%)"
    assert short_line(live(served=served(None)).helps) == "served fast 75%"
    assert short_line(live(slow_faults=faults()).helps) == "slow faults 3/s"


METRIC = {
    "pairs": 8, "better": "lower", "means": [90.0, 100.0], "difference": -10.0,
    "interval": [-12.5, -7.25], "confidence": 0.953125, "verdict": "better",
}  # fmt: skip
BLOCK = {"why": "", "lacking": {}}
TRIAL: dict[str, Any] = {
    "arms": ["promotion on", "promotion off"], "verdict": "better", "by": "metric",
    "pairs": 8, "pairs_complete": 8, "pairs_needed": 6, "measures": {"metric": METRIC},
    "blocks": [BLOCK] * 16, "notes": [],
}  # fmt: skip


def trial(**more: Any) -> dict[str, Any]:
    return copy.deepcopy(TRIAL) | more


def test_a_trial_is_told_with_means_difference_interval_confidence_and_pairs() -> None:
    (line,) = trial_lines(TRIAL)
    assert line == (
        "Trial: promotion on is better than promotion off, by the metric: 90 against 100, a "
        "difference of -10 (-10 %), between -12.5 and -7.25 with 95.3 % confidence (8 pairs)."
    )
    worse = trial(measures={"metric": METRIC | {"verdict": "worse"}})
    assert trial_lines(worse)[0].startswith("Trial: promotion on is worse than promotion off")


def test_shares_differ_by_points() -> None:
    share = METRIC | {
        "means": [0.9, 0.5], "difference": 0.4, "interval": [0.25, 0.5], "better": "higher"
    }  # fmt: skip
    (line,) = trial_lines(trial(by="fast_share", measures={"fast_share": share}))
    assert "90 % against 50 %, a difference of +40 points, between +25 % and +50 %" in line
    assert line.endswith("Whether the program is faster, its own metric alone says.")


def test_what_cannot_be_told_is_said_with_its_reason() -> None:
    zero = METRIC | {"interval": [-12.5, 1.0], "verdict": "cannot be told"}
    (line,) = trial_lines(trial(measures={"metric": zero}))
    assert line.startswith("Trial: cannot be told, by the metric: 90 against 100")
    assert line.endswith("(8 pairs): that includes zero.")
    few = METRIC | {"interval": None, "pairs": 3, "verdict": "cannot be told"}
    (line,) = trial_lines(trial(measures={"metric": few}))
    assert line == "Trial: cannot be told: 3 pairs have the metric, 6 are needed."
    (line,) = trial_lines(trial(by=None, measures={}))
    assert line.startswith("Trial: cannot be told: hint faults do not show")


def test_an_early_end_blocks_that_do_not_count_and_notes_are_told() -> None:
    blocks = [BLOCK] * 9 + [BLOCK | {"why": "it began late"}] * 2
    blocks += [BLOCK | {"lacking": {"metric": "exit status 3"}}]
    lines = trial_lines(
        trial(blocks=blocks, pairs_complete=5, notes=["the kernel did it"]), "stopped by SIGINT"
    )
    assert "It ended early (stopped by SIGINT), after 5 of 8 pairs" in lines[1]
    assert lines[2] == "2 of 12 blocks do not count: it began late (2)."
    assert lines[3] == "1 of 12 blocks lack a measure: exit status 3 (1)."
    assert lines[4] == "Note: the kernel did it."


@pytest.mark.parametrize(
    ("measure", "value", "text"),
    [
        ("metric", 1234567.0, "1.2346e+06"),
        ("metric", 0.000123456, "0.00012346"),
        ("fast_share", 0.66666, "66.67 %"),
        ("memory_stall_some", 0.0, "0 %"),
    ],
)
def test_figures_have_as_many_digits_as_mean_something(measure, value, text) -> None:
    assert figure(measure, value) == text
