"""CONTRIBUTING names files that are there, and no list of files to touch misses one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pghot.log.convert.formats import FORMATS
from pghot.simulated.policies.registry import ENTRIES
from pghot.simulated.scenario.file import presets

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = dict(re.findall(r"^### (.*?)\n(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE))
PATHS = re.findall(r"`((?:src|tests|docs|scripts|share)/[\w./-]+)`(, new)?", TEXT)
LINKS = re.findall(r"\]\(([\w./-]+)\)", TEXT)


def test_there_is_a_list_for_each_kind_of_addition() -> None:
    kinds = ("policy", "source", "preset", "foreign format", "tunable")
    assert all(any(kind in title for title in SECTIONS) for kind in kinds)


@pytest.mark.parametrize("path", sorted({path for path, new in PATHS if not new}))
def test_a_file_to_touch_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_a_page_that_is_linked_is_there(link: str) -> None:
    assert (ROOT / link).exists()


@pytest.mark.parametrize("new", sorted({path for path, new in PATHS if new}))
def test_a_new_file_has_others_of_its_kind_beside_it(new: str) -> None:
    directory, name = (ROOT / new).parent, Path(new).name
    like = name.replace("NAME", "*")
    assert [path for path in directory.glob(like) if path.name != "__init__.py"]


def test_the_registries_that_are_named_hold_what_the_lists_say() -> None:
    assert "ENTRIES" in SECTIONS["A policy"]
    assert "FORMATS" in SECTIONS["A foreign format of `pghot convert`"]
    assert len(ENTRIES) > 1
    assert len(FORMATS) > 1
    assert all((ROOT / "src/pghot/presets" / f"{name}.toml").exists() for name in presets())


def test_every_package_is_in_the_table() -> None:
    packages = {path.parent.name for path in (ROOT / "src/pghot").glob("*/__init__.py")}
    table = TEXT.partition("| package |")[2].partition("\n\n")[0]
    cells = "\n".join(line.split("|")[1] for line in table.splitlines()[1:])
    assert packages <= set(re.findall(r"`(\w+)`", cells))


def test_the_page_on_the_engine_names_modules_that_there_are() -> None:
    rows = re.findall(
        r"^\| ((?:`\w+`(?:, )?)+) \|", (ROOT / "docs/engine.md").read_text(), re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 20
    assert all((ROOT / "src/pghot/engine" / f"{name}.py").exists() for name in named)
