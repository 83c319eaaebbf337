"""A machine file as text: what `pghot topology -o` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TABLES = ("node", "folio")


def machine_text(content: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """The TOML of a machine file's content (`Machine.to_dict`); notes are comments."""
    lines = [f"# {' '.join(note.split())}" for note in notes]
    lines += _keys({name: value for name, value in content.items() if name not in TABLES})
    for table in TABLES:
        for row in content.get(table, ()):
            lines += ["", f"[[{table}]]", *_keys(row)]
    return "\n".join(lines) + "\n"


def _keys(row: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in row.items() if value is not None]


def _value(value: Any) -> str:
    """Write a number, a truth value, a list of either, or text without quotes in it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Mapping):
        return f"{{ {', '.join(_keys(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value)
