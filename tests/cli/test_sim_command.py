"""`pghot sim`: options, what is said where, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import presets
from tests.log.made import Run, entries, pghot
from tests.simulated.test_scenario_file import SMALL

FILES = ["binned.json", "scenario.json", "summary.json", "timeline.parquet"]


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL)
    return path


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_json_is_summary_json_and_nothing_else(scenario: Path, tmp_path: Path, run: Run) -> None:
    done = run("sim", scenario, "--json", "-o", tmp_path / "out")
    assert (done.status, done.err) == (0, "")
    assert done.out == (tmp_path / "out" / "summary.json").read_text()
    assert entries(tmp_path / "out") == FILES
    assert list(json.loads(done.out)["policies"]) == ["none", "pghot-hwhint"]


def test_a_person_reads_a_table(scenario: Path, run: Run) -> None:
    done = run("sim", scenario)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{scenario}, scale 1, seed 1: Two nodes")
    assert "run time" in done.out


def test_policies_run_as_they_are_named(scenario: Path, run: Run) -> None:
    done = run("sim", scenario, "--policy", "oracle, none", "--json")
    assert list(json.loads(done.out)["policies"]) == ["oracle", "none"]


def test_the_seed_is_the_scenarios_unless_another_is_given(scenario: Path, run: Run) -> None:
    assert json.loads(run("sim", scenario, "--json").out)["seed"] == 1
    assert json.loads(run("sim", scenario, "--json", "--seed", "7").out)["seed"] == 7


def test_settings_and_scale_are_in_the_scenario_that_is_written(
    scenario: Path, tmp_path: Path, run: Run
) -> None:
    given = ("--set", "freq_threshold=1", "--set", "hz=250", "--scale", "1/2")
    assert run("sim", scenario, *given, "-o", tmp_path / "out").status == 0
    written = json.loads((tmp_path / "out" / "scenario.json").read_text())
    assert written["tunables"]["freq_threshold"] == "1"
    assert written["hz"] == 250
    assert written["node"][1]["size"] == "512 MiB"


def test_the_same_seed_gives_the_same_bytes(scenario: Path, tmp_path: Path, run: Run) -> None:
    words = ("sim", scenario, "-o", tmp_path / "out")
    assert run(*words).status == 0
    once = contents(tmp_path / "out")
    assert run(*words, "--force").status == 0
    twice = contents(tmp_path / "out")
    assert {name: text.replace(b" --force", b"") for name, text in twice.items()} == once


def test_the_list_says_what_each_preset_shows_and_which_policies_there_are(run: Run) -> None:
    done = run("sim", "--list")
    assert (done.status, done.err) == (0, "")
    for name in (*presets(), *POLICIES):
        assert f" {name} " in done.out
    listed = json.loads(run("sim", "--list", "--json").out)
    assert list(listed["presets"]) == presets()
    assert listed["policies"] == POLICIES


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ((), "sim: wants a SCENARIO; pghot sim --list shows the presets"),
        (("nothing",), "nothing: no such preset or file; pghot sim --list shows them"),
        (("FILE", "--policy", "magic"), "--policy magic: policies: no policy 'magic'; there are "),
        (("FILE", "--policy", ""), "--policy : policies: no policy ''; there are "),
        (("FILE", "--policy", "none,none"), "--policy none,none: policies: one is named twice"),
        (("FILE", "--scale", "half"), "--scale half: wants a number such as 0.25 or 1/4"),
        (("FILE", "--scale", "1/0"), "--scale 1/0: wants a number such as 0.25 or 1/4"),
        (("FILE", "--scale", "1e999"), "--scale 1e999: wants a number such as 0.25 or 1/4"),
        (("FILE", "--scale", "2"), "--scale 2: wants more than 0 and at most 1"),
        (("FILE", "--scale", "nan"), "--scale nan: wants a number such as 0.25 or 1/4"),
        (("FILE", "--seed", "-1"), "--seed -1: wants a whole number from 0 on"),
        (("FILE", "--seed", "x"), "--seed x: wants a whole number from 0 on"),
        (
            ("FILE", "--set", "freq_threshold"),
            "--set freq_threshold: wants NAME=VALUE; see pghot help tunables",
        ),
        (("FILE", "--set", "colour=1"), "--set colour: no such setting; there are "),
    ],
)
def test_what_cannot_be_used_is_one_line_and_leaves_nothing(
    scenario: Path, tmp_path: Path, run: Run, given: tuple[str, ...], line: str
) -> None:
    words = [str(scenario) if word == "FILE" else word for word in given]
    assert run("sim", *words, "-o", tmp_path / "out").refusal().startswith(line)
    assert entries(tmp_path) == ["mine.toml"]


def test_a_tunable_that_only_some_policy_refuses_is_one_line(
    scenario: Path, tmp_path: Path, run: Run
) -> None:
    """A threshold of 5 is one of precision mode's."""
    given = ("--set", "freq_threshold=5", "-o", tmp_path / "out")
    line = run("sim", scenario, *given).refusal()
    assert line == "freq_threshold: '5' is not within 1..3"
    assert entries(tmp_path) == ["mine.toml"]
    assert run("sim", scenario, *given, "--policy", "precise-hwhint").status == 0


def test_a_full_directory_is_refused_unless_forced(
    scenario: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    line = run("sim", scenario, "-o", tmp_path / "out").refusal()
    assert line == f"{tmp_path / 'out'}: is not empty; choose another -o or give --force"
    assert run("sim", scenario, "-o", tmp_path / "out", "--force").status == 0
    assert entries(tmp_path / "out") == sorted(["mine", *FILES])


def test_help_waits_for_no_large_library() -> None:
    tell = """
import atexit, sys
large = {"numpy", "pyarrow", "msgspec", "rich"}
atexit.register(lambda: print(sorted(large & set(sys.modules)), file=sys.stderr))
"""
    done = pghot("sim", "--help", before=tell)
    assert (done.status, done.err.splitlines()[-1]) == (0, "[]")
