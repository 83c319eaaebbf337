"""docs/model.md names every parameter, with the value that it has."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pghot.simulated.machine.costs import Costs
from pghot.simulated.machine.link_kinds import KINDS
from pghot.simulated.scenario.scenario import SamplerTable, ScannerTable, Scenario

TEXT = (Path(__file__).resolve().parents[1] / "docs" / "model.md").read_text()


def rows() -> dict[str, str]:
    """What stands after each name in the tables; names that share a row share values."""
    found = {}
    for first, rest in re.findall(r"^\| (`[^|]+) \| (.*) \|$", TEXT, re.MULTILINE):
        names = re.findall(r"`([^`]+)`", first)
        values = rest.split(" | ")[0].split(", ")
        for place, name in enumerate(names):
            found[name] = values[place] if len(values) == len(names) > 1 else rest
    return found


ROWS = rows()


@pytest.mark.parametrize("name", [field.name for field in fields(Costs)])
def test_every_cost_stands_there_with_its_default(name: str) -> None:
    assert ROWS[name].split(" | ")[0] == f"{getattr(Costs(), name):g}"


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_link_stands_there_with_its_values(name: str) -> None:
    kind = KINDS[name]
    widths = f"{kind.read_GBps:g}, {kind.write_GBps:g}, {kind.total_GBps:g}"
    assert ROWS[name].startswith(f"{kind.read_latency_ns:g} | {widths} | {kind.a:g}, {kind.c:g} |")


@pytest.mark.parametrize(
    "name", [*SamplerTable.__struct_fields__, *ScannerTable.__struct_fields__]
)
def test_every_key_of_the_sampler_and_the_scanner_is_named(name: str) -> None:
    if name not in {"available", "scale"}:
        assert name in ROWS


@pytest.mark.parametrize("name", Scenario.__struct_fields__)
def test_every_table_of_a_scenario_is_named(name: str) -> None:
    assert re.search(rf"`(?:\[\[)?\[?{name}\b", TEXT)
