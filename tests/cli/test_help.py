"""`pghot help`: a list, the page of a command, a part of the documents."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pghot.cli.completion import FILES
from pghot.cli.parser import COMMANDS
from pghot.cli.topics import TOPICS, section, text_of
from pghot.engine.tunables import TUNABLES
from tests.log.made import Run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def words(text: str) -> str:
    return " ".join(text.split())


def test_help_lists_every_command_and_topic(run: Run) -> None:
    firsts = [line.split()[0] for line in run("help").out.splitlines() if line.strip()]
    assert {*COMMANDS, *TOPICS} <= set(firsts)


@pytest.mark.parametrize("name", [*TOPICS, *COMMANDS])
def test_each_can_be_read_on_a_narrow_terminal(name: str, run: Run) -> None:
    done = run("help", name)
    assert (done.status, done.err) == (0, "")
    assert done.out.strip()
    assert not {"](", "|---"} & set(done.out.split())
    assert "\x1b" not in done.out


@pytest.mark.parametrize("name", [*TOPICS, *COMMANDS])
def test_it_fits_80_columns_and_hides_nothing(name: str, run: Run) -> None:
    out = run("help", name).out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert out.count("…") == text_of(name).count("…")
    shown = "".join(out.replace("\\\n", "\n").split())
    examples = re.findall(r"^```\w*\n(.*?)^```\n", f"{text_of(name)}\n", re.MULTILINE | re.DOTALL)
    for line in "".join(examples).replace("\\\n", "\n").splitlines():
        assert "".join(line.split()) in shown


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_options_fit_80_columns(words: list[str], run: Run) -> None:
    done = run(*words)
    assert done.status == 0
    assert [line for line in done.out.splitlines() if len(line) > 80] == []


def test_a_command_that_is_too_long_goes_on_as_a_shell_takes_it(run: Run) -> None:
    lines = run("help", "replay").out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("  $ pghot replay"))
    assert lines[at].endswith(" \\")
    assert lines[at + 1].startswith("      ")


def test_a_topic_is_what_the_document_says(run: Run) -> None:
    said = words(run("help", "exit-status").out)
    assert "2 what was given cannot be used: an option, a file, a row, a value" in said
    assert "An error is one line on stderr that begins with pghot:." in said


def test_no_name_of_a_tunable_is_cut_and_none_is_missing(run: Run) -> None:
    firsts = [line.split()[0] for line in run("help", "tunables").out.splitlines() if line.strip()]
    assert [name for name in TUNABLES if name not in firsts] == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("tunable", "tunables"),
        ("exitstatus", "exit-status"),
        ("replays", "replay"),
    ],
)
def test_an_unknown_topic_is_one_line_with_near_names(name: str, near: str, run: Run) -> None:
    why = run("help", name).refusal(2)
    assert why.startswith(f"help {name}: no such command or topic; perhaps {near}")
    assert why.endswith("? pghot help lists them")


def test_what_is_near_to_nothing_names_the_list(run: Run) -> None:
    why = run("help", "qqq").refusal(2)
    assert why == "help qqq: no such command or topic; pghot help lists them"


def test_a_section_ends_at_the_next_heading_of_its_depth() -> None:
    text = "# a\n## b\none\n### c\ntwo\n## d\nthree\n"
    assert section(text, "b") == "## b\none\n### c\ntwo\n"
    assert section(text, "d") == "## d\nthree\n"
    assert section(text, "") == text


@pytest.mark.parametrize("name", TOPICS)
def test_topics_are_short(name: str) -> None:
    assert len(text_of(name).splitlines()) < 125


def test_what_is_read_comes_with_the_package() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    included = wheel["targets"]["wheel"]["force-include"]
    wanted = {f"docs/{topic.document}" for topic in TOPICS.values()}
    wanted |= {"docs/commands", "docs/schemas", "share/completions"}
    for name in wanted:
        assert included[name] == f"pghot/data/{name}"
    shared = wheel["targets"]["wheel"]["shared-data"]
    assert {f"share/completions/{name}" for name in FILES.values()} <= set(shared)
