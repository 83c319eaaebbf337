"""A scenario from a TOML file or a shipped preset, checked as a whole."""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

from pghot.engine.did_you_mean import perhaps
from pghot.errors import InputError
from pghot.simulated.scenario.check import check
from pghot.simulated.scenario.scenario import Scenario
from pghot.tables import convert_tables, read_toml

PRESETS = Path(str(files("pghot"))) / "presets"
"""Where the shipped scenarios are, one file each."""


def presets() -> list[str]:
    """The names of the shipped scenarios, in order."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def preset_text(name: str) -> str:
    """The file of a preset, comments and all; InputError where there is none."""
    if name not in presets():
        near = perhaps(name, presets())
        raise InputError(f"{name}: no such preset; {near}pghot sim --list shows them")
    return (PRESETS / f"{name}.toml").read_text(encoding="utf-8")


def load_scenario(name: str, policies: Collection[str]) -> Scenario:
    """Read the preset of this name, or else the file; `policies` are those that there are.

    InputError with one line, which names the file and the key, where it is no scenario.
    """
    if name in presets():
        return from_dict(read_toml(PRESETS / f"{name}.toml"), f"preset {name}", policies)
    if not name or not (Path(name).suffix or Path(name).exists()):
        near = perhaps(name, presets())
        raise InputError(f"{name}: no such preset or file; {near}pghot sim --list shows them")
    return from_dict(read_toml(name), name, policies)


def from_dict(data: dict[str, Any], name: str, policies: Collection[str]) -> Scenario:
    """Check the content of a scenario file; `name` opens the line of an InputError."""
    try:
        _check_numbers(data, "")
    except ValueError as error:
        raise InputError(f"{name}: {error}") from error
    scenario = convert_tables(_with_text(data), Scenario, name)
    return checked(scenario, name, policies)


def checked(scenario: Scenario, name: str, policies: Collection[str]) -> Scenario:
    """The scenario back where all of it fits together; InputError otherwise."""
    try:
        check(scenario, policies)
    except (ValueError, InputError) as error:
        raise InputError(f"{name}: {error}") from error
    return scenario


def _with_text(data: dict[str, Any]) -> dict[str, Any]:
    """Have tunables as text, which is how they are written to the kernel's files."""
    tunables = data.get("tunables")
    if not isinstance(tunables, dict):
        return data
    text = {name: str(v) if type(v) is int else v for name, v in tunables.items()}
    return data | {"tunables": text}


def _check_numbers(value: Any, where: str) -> None:
    """Refuse what TOML has and no quantity is: infinities, no-numbers, giant integers."""
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check_numbers(inner, f"{where} no. {place + 1}")
    elif isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{where}: {value} is no quantity")
    elif isinstance(value, int) and abs(value) >= 1 << 53:
        raise ValueError(f"{where}: {value} is too large")
