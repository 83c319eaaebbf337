"""The specification (docs/spec) has each rule once, and says what the code says."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.fidelity import V7, V8, Fidelity
from pghot.engine.layout import LAYOUTS
from pghot.engine.memory import Node
from pghot.engine.tunables import Tunables, tunables_of
from pghot.engine.units import PAGES_PER_SECTION
from pghot.engine.vmstat import ORDER
from pghot.log.schema import DTYPES, OPTIONAL, REQUIRED, SOURCES

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "docs" / "spec"
DEFINED = re.compile(r"^- \*\*(R\d+\.\d+)\*\* ", re.MULTILINE)
SECTION = re.compile(r"^## (R\d+) ", re.MULTILINE)
CITED = re.compile(r"\bR\d+(?:\.\d+)?\b")
PAGE = re.compile(r"(?<![\w./-])((?:docs|examples)/[\w/-]+\.md)\b")
DEFECT = re.compile(r"\bdefects? (\d+)(?: and (\d+))?")
TEXTS = {path.name: path.read_text() for path in sorted(SPEC.glob("*.md"))}
RULES = [rule for text in TEXTS.values() for rule in DEFINED.findall(text)]
SECTIONS = [section for text in TEXTS.values() for section in SECTION.findall(text)]


def sources() -> list[Path]:
    """Every file that a person wrote and that may cite a rule."""
    found: list[Path] = []
    for name in ("src", "tests", "bench", "scripts", "examples", "docs"):
        found += (
            p for p in (ROOT / name).rglob("*") if p.suffix in {".py", ".pxd", ".md", ".toml"}
        )
    return [path for path in sorted(found) if path != Path(__file__)]


WRITTEN = {path: path.read_text() for path in sources()}


def rows(page: str, first: str) -> list[list[str]]:
    """The cells of the rows of a page whose first cell matches `first`."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TEXTS[page].splitlines()
        if line.startswith("| ")
    ]
    return [row for row in cells if re.fullmatch(first, row[0])]


def test_each_rule_and_each_section_has_one_number() -> None:
    assert len(RULES) == len(set(RULES)) > 60
    assert len(SECTIONS) == len(set(SECTIONS)) == 12


@pytest.mark.parametrize("section", SECTIONS)
def test_the_rules_of_a_section_are_numbered_from_1_in_order(section: str) -> None:
    mine = [rule for rule in RULES if rule.startswith(f"{section}.")]
    assert mine == [f"{section}.{number}" for number in range(1, len(mine) + 1)]


def test_every_rule_that_is_cited_is_there() -> None:
    there = {*RULES, *SECTIONS}
    missing = {
        (str(path.relative_to(ROOT)), cited)
        for path, text in WRITTEN.items()
        for cited in CITED.findall(text)
        if cited not in there
    }
    assert missing == set()


def test_a_rule_is_cited_by_its_number_and_by_nothing_else() -> None:
    vague = re.compile(r"\brules? \d|behaviour\.md")
    found = {
        str(path.relative_to(ROOT)): vague.findall(text)
        for path, text in WRITTEN.items()
        if path.suffix != ".md" and vague.search(text)
    }
    assert found == {}


def test_every_page_that_is_cited_is_there() -> None:
    missing = {
        (str(path.relative_to(ROOT)), page)
        for path, text in WRITTEN.items()
        for page in PAGE.findall(text)
        if not (ROOT / page).is_file()
    }
    assert missing == set()


def test_every_defect_that_is_cited_is_in_the_list() -> None:
    listed = set(re.findall(r"^\| (\d+) \|", (ROOT / "docs/defects.md").read_text(), re.MULTILINE))
    cited = {
        number
        for text in WRITTEN.values()
        for pair in DEFECT.findall(text)
        for number in pair
        if number
    }
    assert cited - listed == set()


def test_every_rule_has_a_test_that_cites_it() -> None:
    tests = [text for path, text in WRITTEN.items() if path.is_relative_to(ROOT / "tests")]
    cited = {rule for text in tests for rule in CITED.findall(text)}
    cited |= set(CITED.findall(Path(__file__).read_text()))
    assert [rule for rule in RULES if rule not in cited] == []


# R1.2
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_table_of_layouts_is_that_of_the_code(name: str) -> None:
    layout = LAYOUTS[name]
    column = [*LAYOUTS].index(name) + 1
    stated = {row[0]: row[column] for row in rows("engine.md", ".+") if len(row) == 3}

    def field(shift: int, width: int) -> str:
        return f"bits {shift + width - 1}:{shift}"

    assert stated["integer"] == f"u{layout.dtype().itemsize * 8}"
    frequency = f"{field(layout.freq_shift, layout.freq_width)}, at most {layout.freq_max}"
    assert stated["frequency"] == frequency
    assert stated["time"].startswith(f"{field(layout.time_shift, layout.time_width)}, jiffies")
    node = field(0, layout.nid_width) if layout.nid_width else "not kept"
    assert stated["target node"] == node
    assert stated["migrate-ready"] == f"bit {layout.ready_bit}"
    assert stated["time repeats after"] == f"{layout.wrap:,} jiffies"
    assert stated["window by default"] == f"{layout.default_window_ms:,} ms"
    assert (
        stated["hot maps of 1 TiB"]
        == {
            256: "256 MiB",
            1024: "1 GiB",
        }[(1 << 40 - 12 - 20) * layout.dtype().itemsize]
    )


# R5.1, R12.5
@pytest.mark.parametrize(
    ("page", "fidelity"), [("tunables.md", V7), ("v8.md", V8)], ids=["v7", "v8"]
)
def test_the_table_of_tunables_is_that_of_the_code(page: str, fidelity: Fidelity) -> None:
    memory = ArrayMemory([Node(0, 0, PAGES_PER_SECTION, toptier=True)])
    default, precise = (
        Tunables(memory, layout, hz=1000, fidelity=fidelity) for layout in LAYOUTS.values()
    )
    stated = {row[0].strip("`"): row[1:] for row in rows(page, "`\\w+`")}
    table = tunables_of(fidelity)
    assert list(stated) == list(table)
    for name, (where, value, _takes) in stated.items():
        assert where == table[name].where
        numbers = [int(number) for number in re.findall(r"\d+", value)]
        assert numbers[:1] in ([default[name]], [])
        assert numbers[1:] in ([precise[name]], [])


# R5.10
def test_the_counters_are_those_of_the_code_in_that_order() -> None:
    listed = TEXTS["tunables.md"].partition("`/proc/vmstat`:")[2]
    assert tuple(re.findall(r"\w+", listed)) == ORDER


# R7.1, R7.2
def test_the_columns_of_a_log_are_those_of_the_code() -> None:
    stated = {row[0].strip("`"): row[1] for row in rows("log.md", "`.+`")}
    assert list(stated) == list(REQUIRED)
    stated |= dict(re.findall(r"`(\w+)`\s+\((\w+)", TEXTS["log.md"]))
    assert stated.keys() == DTYPES.keys() == {*REQUIRED, *OPTIONAL}
    for name, written in stated.items():
        assert written.split()[0] == getattr(DTYPES[name], "__name__", "").removesuffix("_")
    for name, number in SOURCES.items():
        assert f"{number} or `{name}`" in TEXTS["log.md"]


# R11.1, R11.2
def test_the_published_figures_are_those_of_the_preset() -> None:
    preset = tomllib.loads((files("pghot") / "presets" / "published-1.toml").read_text())
    stated = {
        int(number.replace(",", "")) for number in re.findall(r"[\d,]{2,}", TEXTS["published.md"])
    }
    for policy in preset["published"].values():
        assert round(policy["run_s"] * 1_000_000) in stated
        assert {count for count in policy.get("counters", {}).values() if count} <= stated
