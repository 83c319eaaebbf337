"""The pages on replaying, simulating and Python show what a reader gets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PYTHON = re.findall(r"```python\n(.*?)```", (DOCS / "python.md").read_text(), re.DOTALL)


def words(text: str) -> list[str]:
    return text.split()


def test_the_demo_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    shown = (DOCS / "replaying.md").read_text().split("```")[1]
    assert main(["demo"]) == 0
    said = capsys.readouterr().out.split(maxsplit=1)[1]  # after the log's path
    assert words(said) == words(shown)[1:]


def test_the_simulation_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    example = r"`pghot (sim published-1[^`]*)`\):\n\n```\n(.*?)```"
    ((command, shown),) = re.findall(example, (DOCS / "simulating.md").read_text(), re.DOTALL)
    assert main(command.split()) == 0
    assert words(capsys.readouterr().out) == words(shown)


def test_there_is_a_replay_an_observer_and_accesses_of_ones_own_in_few_lines_each() -> None:
    assert len(PYTHON) == 3
    assert all(len(example.strip().splitlines()) <= 13 for example in PYTHON)


@pytest.mark.parametrize("example", PYTHON, ids=["replay", "observer", "own accesses"])
def test_the_python_runs_and_says_something(example: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    ("command", "page"), [("replay", "replaying.md"), ("sim", "simulating.md")]
)
def test_every_option_is_on_its_page(
    capsys: pytest.CaptureFixture[str], command: str, page: str
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"(?<!\S)--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", (DOCS / page).read_text()))
