"""The README is short, its commands exist, and it shows what a reader gets."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from pghot.cli import main
from pghot.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LINES = 130
COMMANDS = re.findall(r"(?:^|`)(?:sudo )?(pghot [a-z]+\b[^`\n#]*)", README, re.MULTILINE)
LINKS = re.findall(r"\]\(([^)]+)\)|(?:srcset|src)=\"([^\"]+)\"", README)


def test_it_has_at_most_130_lines() -> None:
    assert len(README.splitlines()) <= LINES


@pytest.mark.parametrize("target", sorted({first or second for first, second in LINKS}))
def test_what_it_links_to_is_there(target: str) -> None:
    assert (ROOT / target.partition("#")[0]).exists()


def test_it_names_every_kind_of_use() -> None:
    names = {command.split()[1] for command in COMMANDS}
    wanted = {"run", "sim", "topology", "doctor", "top", "ctl", "why", "record", "replay"}
    assert wanted | {"convert", "report", "help", "demo"} <= names


@pytest.mark.parametrize("command", [c.strip() for c in COMMANDS if len(c.split()) > 2])
def test_every_command_that_it_shows_is_taken(command: str) -> None:
    words = shlex.split(command.replace("PID", "40").replace("...", ""))[1:]
    build_parser().parse_args(words)


def test_the_extras_that_it_installs_are_those_there_are() -> None:
    (shown,) = re.findall(r"WHEEL\[([a-z,]+)\]", README)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(shown.split(",")) == project["optional-dependencies"].keys()


def test_the_gain_that_it_names_is_that_of_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    claim = r"Moving\s+([\d,]+) pages \((\d+) MiB\).*? from (\d+) % to ([\d.]+) %"
    ((pages, size, before, after),) = re.findall(claim, README, re.DOTALL)
    assert main(["demo"]) == 0
    said = capsys.readouterr().out
    assert re.search(rf"pages promoted +{pages} +{size}\.\d MiB", said)
    assert re.search(rf"served by the fast tier +{before}\.0%.*\n +{after}%", said)
