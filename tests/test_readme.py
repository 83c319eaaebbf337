"""What the README shows is what a reader gets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def words(text: str) -> list[str]:
    return text.split()


def test_the_demo_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    shown = README.split("```")[3]
    assert main(["demo"]) == 0
    said = capsys.readouterr().out.split(maxsplit=1)[1]  # after the log's path
    assert words(said) == words(shown)[1:]


def test_the_simulation_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    example = r"`pghot (sim published-1[^`]*)`\):\n\n```\n(.*?)```"
    ((command, shown),) = re.findall(example, README, re.DOTALL)
    assert main(command.split()) == 0
    assert words(capsys.readouterr().out) == words(shown)


def test_the_readme_has_a_replay_and_accesses_of_ones_own_in_ten_lines_each() -> None:
    assert len(PYTHON) == 2
    assert all(len(example.strip().splitlines()) <= 11 for example in PYTHON)


@pytest.mark.parametrize("example", PYTHON, ids=["replay", "own accesses"])
def test_the_readmes_python_runs_and_says_something(example: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", ["replay", "sim"])
def test_every_option_is_in_the_readme(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"(?<!\S)--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", README))
