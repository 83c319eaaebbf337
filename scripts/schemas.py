#!/usr/bin/env python3
"""Write docs/schemas/state.json, run.json and replay.json from the types that are published.

Keys, kinds and words are the types' own (`driving.run_state`); what a result says beside its
figures, where it comes from and whether it paid, is in result_schema.json.
With --check nothing is written; status 1 where a file is stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pghot.driving.run_state import NATURAL, EngineFigures, RunFigures, RunState
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.engine.tunables import TUNABLES
from pghot.engine.vmstat import ORDER

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "schemas"
RESULT = json.loads(Path(__file__).with_name("result_schema.json").read_text())
KEYS = {"tunables": TUNABLES, "vmstat": ORDER}
"""The keys of tables that always have all of them."""

VALUES = {"mode": LAYOUTS, "fidelity": FIDELITIES}

SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}


def schema(name: str) -> dict[str, Any]:
    """The content of a file."""
    if name == "state":
        return _file(name, "A line of pghot ctl watch --json", object_of(RunState))
    if name == "run":
        made = _with_result(object_of(RunFigures), {"trial": RESULT["trial"]})
        return _file(name, "summary.json of a run, and pghot run --json", made)
    made = _with_result(object_of(EngineFigures), {})
    words = "tool and event that a converted log is of; only where there is one"
    made["properties"]["taken_by"] = {"type": "string", "description": words}
    return _file(name, "summary.json of a replay, and pghot replay or demo --json", made)


NAMES = ("state", "run", "replay")


def object_of(kind: type) -> dict[str, Any]:
    """A dataclass: every key of it is there."""
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    return {
        "type": "object",
        "required": names,
        "properties": {name: _named(name, of_type(hints[name])) for name in names},
    }


def of_type(hint: Any) -> dict[str, Any]:
    """A type, with the words and the bound that stand beside it."""
    notes: list[str] = []
    if get_origin(hint) is Annotated:
        hint, *notes = get_args(hint)
    found = _bare(hint)
    if NATURAL in notes:
        found["minimum"] = 0
    words = "; ".join(note for note in notes if note != NATURAL)
    if words:
        found["description"] = words
    return found


def _bare(hint: Any) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    found: dict[str, Any] = {"type": "array"}
    if hint in SCALARS:
        found = {"type": SCALARS[hint]}
    elif is_dataclass(hint) and isinstance(hint, type):
        words = str(hint.__doc__).partition("\n")[0].rstrip(".")
        found = {"description": words} | object_of(hint)
    elif origin in (Union, UnionType):
        found = of_type(args[0])  # of all unions here the other one is None
        found["type"] = [found["type"], "null"]
    elif origin is Literal:
        found = {"type": SCALARS[type(args[0])], "const": args[0]}  # one, of all literals here
    elif origin is Mapping or origin is dict:
        found = {"type": "object", "additionalProperties": of_type(args[1])}
    elif origin is tuple:
        found |= {"prefixItems": list(map(of_type, args))} | _length(len(args))
    elif origin is Sequence:
        found["items"] = of_type(args[0])
    else:
        raise TypeError(f"{hint}: no such type is published")
    return found


def _length(items: int) -> dict[str, int]:
    return {"minItems": items, "maxItems": items}


def _named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """A field, with what tables of the engine say of its keys or values."""
    if name in VALUES:
        found["enum"] = [*VALUES[name]]
    if name in KEYS:
        value = found.pop("additionalProperties")
        found |= {"required": [*KEYS[name]], "properties": dict.fromkeys(KEYS[name], value)}
    return found


def _with_result(figures: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Figures, and what every result says beside them."""
    properties = figures["properties"] | RESULT["properties"] | more
    return figures | {
        "required": [*properties],
        "properties": properties,
        "$defs": RESULT["$defs"],
    }


def _file(name: str, title: str, content: dict[str, Any]) -> dict[str, Any]:
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"pghot/{name}.json"}
    return head | {"title": title} | content


def text(name: str) -> str:
    """The text of a file."""
    return json.dumps(schema(name), indent=2) + "\n"


def main() -> int:
    """Write the files that are stale, or say so."""
    stale = [name for name in NAMES if (SCHEMAS / f"{name}.json").read_text() != text(name)]
    for name in stale:
        print(f"{name}.json")
        if "--check" not in sys.argv:
            (SCHEMAS / f"{name}.json").write_text(text(name))
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
