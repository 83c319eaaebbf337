"""The part of a report that a trial has, and what a damaged one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pghot.errors import InputError
from pghot.report.page.page import render
from pghot.report.page.read import read_result
from pghot.report.page.trial import trial_section
from pghot.report.page.words import summary
from tests.report.page.made_runs import a_run

MEASURE = {
    "pairs": 6, "better": "higher", "means": [0.9, 0.5], "difference": 0.4,
    "interval": [0.25, 0.5], "confidence": 0.96875, "verdict": "better",
}  # fmt: skip


def trial(**more: Any) -> dict[str, Any]:
    blocks = [
        {
            "pair": at // 2, "arm": at % 2, "measured_s": 3.0 * at + 1, "end_s": 3.0 * at + 3,
            "values": {"fast_share": 0.9 - 0.4 * (at % 2)}, "lacking": {}, "why": "",
        }
        for at in range(12)
    ]  # fmt: skip
    return {
        "arms": ["promotion on", "promotion off"], "verdict": "better", "by": "fast_share",
        "pairs": 6, "pairs_complete": 6, "pairs_needed": 6, "seed": 7, "block_s": 3.0,
        "warm_up_s": 1.0, "measures": {"fast_share": MEASURE}, "blocks": blocks, "notes": [],
    } | more  # fmt: skip


def test_a_report_of_no_trial_has_no_such_part() -> None:
    assert trial_section([a_run()]) is None
    assert "Does it help? A trial" not in render([a_run()], "t", "")


def test_it_has_the_answer_the_measures_and_each_block_that_counts() -> None:
    given = trial()
    given["blocks"][3]["why"] = "it began late"
    run = a_run(kind="run", trial=given)
    section = trial_section([run])
    assert section is not None
    assert section.lines[0].startswith("Trial: promotion on is better than promotion off")
    (measures,) = section.tables
    assert measures.rows == [
        ["served fast", "90 %", "50 %", "40 %", "25 %", "50 %", "96.9%", "better"]
    ]
    (view,) = section.views
    assert len(view.spec["data"]["values"]) == 11
    assert view.tables[0].rows[0] == ["promotion on", 1.0, 3.0, 90.0]
    assert summary([run])[0] == section.lines[0]
    assert '<section id="trial"' in render([run], "t", "")


def test_of_several_runs_each_is_named() -> None:
    section = trial_section(
        [a_run("one", trial=trial()), a_run("two"), a_run("three", trial=trial())]
    )
    assert section is not None
    assert [line.partition(":")[0] for line in section.lines] == ["one", "three"]
    assert len(section.views) == 2


@pytest.fixture
def directory(results: Path, tmp_path: Path) -> Path:
    """A result whose summary is that of a live run with a trial."""
    content = json.loads((results / "full" / "summary.json").read_text())
    content |= {"live": {"helps": None}, "trial": trial()}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    return tmp_path


def test_it_is_read_from_the_summary(directory: Path) -> None:
    (run,) = read_result(directory)
    assert run.trial
    assert run.trial["measures"]["fast_share"]["interval"] == (0.25, 0.5)
    render([run], "t", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("by", "metric"),
        ("arms", ["one"]),
        ("verdict", "great"),
        ("pairs", 0),
        ("measures", {"speed": MEASURE}),
        ("measures", {"fast_share": MEASURE | {"difference": None}}),
        ("blocks", [{"pair": 0, "arm": 2, "measured_s": 1, "end_s": 2}]),
        ("notes", "none"),
    ],
)
def test_a_damaged_one_is_refused_in_a_line(directory: Path, key: str, value: Any) -> None:
    path = directory / "summary.json"
    content = json.loads(path.read_text())
    content["trial"][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="not what pghot writes") as raised:
        read_result(directory)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "helps",
    [
        {"served": None, "slow_faults": None},
        {"served": {"all": 1}},
        {"served": {"all": {"samples": 3}, "before": {"samples": 0}, "last": {"samples": 0}}},
        {"slow_faults": {"all": {"faults": -1, "per_s": 2}, "last": {"faults": 1, "per_s": 2}}},
        "yes",
    ],
)
def test_damaged_evidence_is_refused_in_a_line(directory: Path, helps: Any) -> None:
    path = directory / "summary.json"
    content = json.loads(path.read_text()) | {"trial": None, "live": {"helps": helps}}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="not what pghot writes") as raised:
        read_result(directory)
    assert "\n" not in str(raised.value)
