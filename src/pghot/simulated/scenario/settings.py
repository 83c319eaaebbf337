"""`--set NAME=VALUE`: a tunable or a value of the scenario, by name."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from pghot.engine.did_you_mean import perhaps
from pghot.engine.tunables import TUNABLES
from pghot.errors import InputError
from pghot.simulated.scenario.file import checked
from pghot.simulated.scenario.scenario import SamplerTable, ScannerTable, Scenario
from pghot.tables import convert_tables

_PLAIN = ("seconds", "hz", "demotion", "tiering", "tick_ms")
_TABLES: dict[str, Collection[str]] = {
    "scanner": ScannerTable.__struct_fields__,
    "sampler": SamplerTable.__struct_fields__,
}


def with_settings(
    scenario: Scenario, settings: Sequence[str], policies: Collection[str]
) -> Scenario:
    """The scenario with `NAME=VALUE` settings; the last of a name wins.

    NAME is a tunable or a setting of the scanner by its kernel name, `sampler.KEY`,
    `scanner.KEY`, `costs.KEY`, or one of `seconds`, `hz`, `demotion`, `tiering`, `tick_ms`.
    InputError where it is none of these, or the value does not fit.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set {setting}: wants NAME=VALUE; see pghot help tunables")
        data = _merged(msgspec.to_builtins(scenario), name, text)
        scenario = convert_tables(data, Scenario, f"--set {setting}")
        checked(scenario, f"--set {setting}", policies)
    return scenario


def check_setting(name: str) -> None:
    """Refuse a name that is none of a scenario's settings: InputError with those there are."""
    _table_of(name)


def _merged(data: dict[str, Any], name: str, text: str) -> dict[str, Any]:
    table, key = _table_of(name)
    if table == "tunables":
        data[table] |= {key: text}
    elif table:
        data[table] |= {key: _value(name, text)}
    else:
        data[key] = _value(name, text)
    return data


def _table_of(name: str) -> tuple[str, str]:
    """A setting's table, empty for the scenario itself, and its key there."""
    if name in TUNABLES:
        return "tunables", name
    if name in _PLAIN:
        return "", name
    if name in ScannerTable.__struct_fields__:
        return "scanner", name
    table, _dot, key = name.partition(".")
    if (table == "costs" and key) or key in _TABLES.get(table, ()):
        return table, key
    raise InputError(
        f"--set {name}: no such setting; {perhaps(name, [*TUNABLES, *_PLAIN])}there are "
        f"{', '.join(TUNABLES)}, "
        f"{', '.join(ScannerTable.__struct_fields__)}, sampler.KEY, costs.KEY, "
        f"{', '.join(_PLAIN)}"
    )


def _value(name: str, text: str) -> Any:
    """Read a value as TOML does; `none` is that of a key that is not given."""
    if text == "none":
        return None
    if "\n" not in text:
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            pass
    raise InputError(f"--set {name}={text}: no number, true, false or none")
