"""What docs/why.md shows is what a reader gets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pghot.cli import main
from pghot.log.event_schema import COLUMNS, NAMED

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "why.md").read_text()
EXAMPLES = re.findall(
    r"^\$ pghot (.*)\n((?:(?!\$ |```).*\n)*)", "\n".join(TEXT.split("```")[1::2]), re.MULTILINE
)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5


def test_the_examples_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for command, shown in EXAMPLES:
        assert main(shlex.split(command)) == 0
        said = capsys.readouterr().out.split()
        for piece in shown.split("[...]"):  # what is left out may be anything
            words = piece.split()
            at = next(
                i
                for i in range(len(said) + 1)
                if said[i : i + len(words)] == words or i == len(said)
            )
            assert said[at : at + len(words)] == words, command
            said = said[at + len(words) :]
        assert not said or shown.rstrip().endswith("[...]"), command


def test_every_column_and_name_is_documented() -> None:
    names = [name for columns in COLUMNS.values() for name in columns]
    names += [name for values in NAMED.values() for name in values]
    assert [name for name in names if f"`{name}`" not in TEXT] == []
