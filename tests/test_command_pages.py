"""Every command has a page in docs/commands, with its options and an example that is so."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from scripts.command_pages import PAGES, option_rows, with_options

from pghot.cli.parser import COMMANDS, build_parser, subparsers_of
from tests.test_docs_examples import command, printed

__all__ = ["command"]

ROOT = PAGES.parents[1]
PARSERS = subparsers_of(build_parser())
SHOWN = {
    name: re.findall(r"^\$ (.*)\n((?:(?!\$ |```).*\n)*)", text, re.MULTILINE)
    for name in COMMANDS
    for text in [(PAGES / f"{name}.md").read_text()]
}


def agrees(said: str, shown: str) -> bool:
    """Whether words are as shown, where [...] may be anything."""
    pieces = [re.escape(" ".join(piece.split())) for piece in shown.split("[...]")]
    return bool(re.fullmatch(r"\s*.*\s*".join(pieces), " ".join(said.split())))


def test_every_page_is_of_a_command_and_every_command_has_one() -> None:
    assert sorted(path.stem for path in PAGES.iterdir()) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_names_every_option(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    for parser in (PARSERS[name], *subparsers_of(PARSERS[name]).values()):
        for written, _help in option_rows(parser):
            assert written.replace("|", "\\|") in page


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_the_options_as_they_are(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    assert with_options(page, PARSERS[name]).rstrip() == page.rstrip(), "scripts/command_pages.py"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_prints_what_is_shown(name: str, tmp_path: Path, command: str) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for words, shown in SHOWN[name]:
        assert agrees(printed(words, tmp_path, command), shown), words


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_line_on_a_page_can_be_read(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines or SHOWN[name]
    for line in lines:
        words = shlex.split(re.split(r" [>|#]", line)[0])
        words = words[words.index("pghot") + 1 :]
        assert build_parser().parse_args(words).command == words[0]


def test_links_lead_somewhere() -> None:
    for page in [*PAGES.iterdir(), PAGES.parent / "topics.md"]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
