"""What a comparison of made-up outcomes says, as a table, as JSON and as files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pghot.engine.vmstat import ORDER
from pghot.errors import InputError
from pghot.report.comparison import Comparison
from pghot.report.sim import print_comparison
from pghot.report.sim_files import FILES, sim_directory
from pghot.simulated.result import Outcome, Timeline
from tests.simulated.test_scenario_file import small

COUNTS = np.array([5, 7], np.int64)
TIMELINE = Timeline(
    every_s=0.1,
    nids=(0, 1),
    time_s=np.array([0.1, 0.15]),
    accesses=np.array([100.0, 50.0]),
    fast_accesses=np.array([0.0, 25.0]),
    promoted=COUNTS,
    demoted=COUNTS * 2,
    hint_faults=COUNTS * 3,
    samples=COUNTS * 4,
    hot_fast=np.array([0.25, 0.75]),
    free=np.array([[10, 20], [5, 25]], np.int64),
)


def outcome(policy: str, **more: Any) -> Outcome:
    values: dict[str, Any] = {
        "run_s": 40.0, "accesses": 150.0, "fast_accesses": 25.0, "promoted": 12, "demoted": 24,
        "ping_pong": 3, "accuracy": 0.5, "coverage": 0.4, "hot_fast_s": None,
        "overhead_s": {"hint faults": 0.25, "kmigrated": 0.5},
        "counters": dict.fromkeys(ORDER, 0) | {"pgpromote_success": 1100},
        "refused": {"threshold": 9, "a reason of its own": 2}, "memcg_promoted": {7: 12},
        "group_s": {"threads": 40.0}, "timeline": TIMELINE,
    }  # fmt: skip
    return Outcome(policy=policy, **(values | more))


NONE = outcome(
    "none", run_s=100.0, promoted=0, demoted=0, ping_pong=0, accuracy=None, overhead_s={},
    refused={}, counters=dict.fromkeys(ORDER, 0),
)  # fmt: skip
PUBLISHED = {
    "none": {"run_s": 100.0, "fitted": ["run_s"]},
    "pghot-hwhint": {
        "run_s": 50.0,
        "counters": {"pgpromote_success": 1000, "numa_hint_faults": 0},
    },
    "numab2": {"run_s": 1.0},
}


def comparison(*outcomes: Outcome, published: dict[str, Any] | None = None) -> Comparison:
    scenario = small(published=PUBLISHED if published is None else published)
    return Comparison("two", scenario, 0.25, 3, outcomes or (NONE, outcome("pghot-hwhint")))


def printed(shown: Comparison, capsys: pytest.CaptureFixture[str]) -> str:
    print_comparison(shown)
    return capsys.readouterr().out


def words(text: str) -> str:
    return " ".join(text.split())


# The table


def test_policies_stand_across_and_figures_down(capsys) -> None:
    said = words(printed(comparison(), capsys))
    for part in (
        "two, scale 0.25, seed 3: Two nodes",
        "run time 100.00 s 40.00 s",
        "to that without promotion 1.000 0.400",
        "accesses served fast 16.7% 16.7%",
        "promoted, pages 0 12",
        "demoted, pages 0 24",
        "promoted again in 10 s 0 3",
        "promoted that were hot - 50.0%",
        "hot set fast, average 40.0% 40.0%",
        "90 % of it fast after - -",
        "moved, both ways 0 B 144.0 KiB",
        "overhead, CPU time 0.00 s 0.75 s",
        "hint faults - 0.25 s",
        "refused: touched too long",
        "ago (threshold)",
        "refused: a reason of its",
    ):
        assert part in said


def test_published_figures_stand_beside_ours_with_the_difference(capsys) -> None:
    said = words(printed(comparison(), capsys))
    for part in (
        "none run time 100.00 s 100.00 s 0.0% fitted",
        "pghot-hwhint run time 50.00 s 40.00 s -20.0%",
        "pgpromote_success 1,000 1,100 +10.0%",
        "numa_hint_faults 0 0 -",
        "fitted: a parameter of the scenario was chosen by this figure",
    ):
        assert part in said
    assert "numab2" not in said


def test_where_nothing_was_published_nothing_is_said_of_it(capsys) -> None:
    said = printed(comparison(published={}), capsys)
    assert "published" not in said
    assert "fitted" not in said


def test_without_a_run_without_promotion_there_is_no_ratio(capsys) -> None:
    said = words(printed(comparison(outcome("pghot-hwhint")), capsys))
    assert "to that without promotion - " in said


@pytest.mark.parametrize("policies", [1, 4, 5, 9])
def test_eighty_columns_are_enough_for_any_number_of_policies(
    capsys, monkeypatch, policies: int
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"improved-hintfault{i}" for i in range(policies)]
    said = printed(comparison(*(outcome(name) for name in names)), capsys)
    assert max(map(len, said.splitlines()[1:])) <= 80
    assert "\u2026" not in said
    for name in names:
        assert name.partition("-")[2] in said


def test_what_a_policy_notes_is_told(capsys) -> None:
    shown = comparison(outcome("oracle", notes=["no profiler: [bit 18] is clear"]))
    assert "oracle: no profiler: [bit 18] is clear" in printed(shown, capsys)


# The summary


def test_the_summary_has_every_figure_and_every_counter() -> None:
    summary = json.loads(json.dumps(comparison().summary()))
    assert list(summary) == [
        "scenario",
        "title",
        "scale",
        "seed",
        "policies",
        "published",
        "bounds",
    ]
    got = summary["policies"]["pghot-hwhint"]
    assert list(got["vmstat"]) == list(ORDER)
    assert got["ratio"] == 0.4
    assert got["migrated_bytes"] == 36 * 4096
    assert got["memcg_promoted"] == {"7": 12}
    for name in (
        "run_s", "accesses", "fast_share", "promoted", "demoted", "ping_pong", "accuracy",
        "coverage", "hot_fast_s", "overhead_s", "refused", "group_s", "notes",
    ):  # fmt: skip
        assert name in got
    assert summary["published"][1] == {
        "policy": "pghot-hwhint", "name": "run_s", "published": 50.0, "here": 40.0,
        "fitted": False, "difference": 40 / 50 - 1,
    }  # fmt: skip


# The files


def written(path: Path, shown: Comparison) -> dict[str, bytes]:
    with sim_directory(path) as output:
        output.finish(shown)
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_the_timeline_has_a_row_a_time_and_policy(tmp_path: Path) -> None:
    written(tmp_path / "out", comparison())
    rows = pq.read_table(tmp_path / "out" / "timeline.parquet").to_pydict()
    assert rows.pop("policy") == ["none"] * 2 + ["pghot-hwhint"] * 2
    assert {name: values[2:] for name, values in rows.items()} == {
        "time_s": [0.1, 0.15], "accesses": [100, 50], "fast_accesses": [0, 25],
        "hot_fast": [0.25, 0.75], "promoted": [5, 7], "demoted": [10, 14],
        "hint_faults": [15, 21], "samples": [20, 28], "free_0": [10, 5], "free_1": [20, 25],
    }  # fmt: skip


def test_the_files_are_the_summary_the_scenario_and_the_timeline(tmp_path: Path) -> None:
    files = written(tmp_path / "out", comparison())
    assert set(files) == set(FILES)
    assert json.loads(files["summary.json"]) == json.loads(json.dumps(comparison().summary()))
    scenario = json.loads(files["scenario.json"])
    assert (scenario["title"], scenario["seed"]) == ("Two nodes", 3)
    assert scenario["node"][0]["size"] == "256 MiB"


def test_the_same_outcomes_give_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path / "a", comparison()) == written(tmp_path / "b", comparison())


def test_nothing_is_left_where_a_run_stops(tmp_path: Path) -> None:
    def stop() -> None:
        with sim_directory(tmp_path / "out"):
            raise InputError("no room")

    with pytest.raises(InputError, match="no room"):
        stop()
    assert not (tmp_path / "out").exists()


def test_an_outcome_without_accesses_has_no_fast_share() -> None:
    assert replace(NONE, accesses=0.0, fast_accesses=0.0).fast_share == 0.0
