"""The README is short, its commands exist, and it shows what a reader gets."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from pghot.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
LIVE = (ROOT / "docs" / "live.md").read_text()
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


def test_the_times_that_it_names_are_those_of_the_page_on_live_runs() -> None:
    gain = README.partition("## What you gain")[2].partition("<picture>")[0]
    rows = r"^\| has (.*) \| (pghot|NUMA balancing) \| [\d.]+ % \| ([\d.]+ s) \| none \|$"
    times = {(load, who): s for load, who, s in re.findall(rows, LIVE, re.MULTILINE)}
    named = [
        (load, who)
        for load in ("run for 40 s", "just begun")
        for who in ("pghot", "NUMA balancing")
    ]
    assert re.findall(r"[\d.]+ s\b", gain) == [times[one] for one in named]
