#!/usr/bin/env python3
"""Write docs/machine.md and docs/scenario.md from the types that read those files.

Keys, kinds and defaults are the types' own; units and words stand here, one for every key.
With --check nothing is written; status 1 where a page is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
from scripts.reference_words import EXAMPLES, HEADS, WORDS

from pghot.log import machine
from pghot.simulated.scenario import scenario

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES: dict[str, dict[str, type[msgspec.Struct]]] = {
    "machine": {
        "": machine._MachineFile,  # noqa: SLF001 - the form of the file
        "[[node]]": machine._NodeTable,  # noqa: SLF001
        "[[folio]]": machine._FolioTable,  # noqa: SLF001
    },
    "scenario": {
        "": scenario.Scenario,
        "[[node]]": scenario.NodeTable,
        "[[link]]": scenario.LinkTable,
        "[[region]]": scenario.RegionTable,
        "[[threads]]": scenario.ThreadsTable,
        "[[event]]": scenario.EventTable,
        "[scanner]": scenario.ScannerTable,
        "[sampler]": scenario.SamplerTable,
        "[published.POLICY]": scenario.PublishedTable,
    },
}
KINDS = {
    "IntType": "whole number", "FloatType": "number", "StrType": "text",
    "BoolType": "true or false", "ListType": "list", "DictType": "table",
    "StructType": "table", "VarTupleType": "list",
}  # fmt: skip


def page(name: str) -> str:
    """Give the text of a reference page."""
    parts = [HEADS[name]]
    for table, kind in PAGES[name].items():
        parts.append(f"## {table or 'Top of the file'}\n")
        parts.append("| key | kind | default | what |\n|---|---|---|---|")
        parts += [_row(name, table, field) for field in msgspec.inspect.type_info(kind).fields]
        parts.append("")
    parts.append(f"## Example\n```toml\n{EXAMPLES[name]}```\n")
    return "\n".join(parts)


def _row(name: str, table: str, field: Any) -> str:
    key = field.encode_name
    words = WORDS[name][f"{table}.{key}" if table else key]
    return f"| `{key}` | {_kind(field.type)} | {_default(field)} | {words} |"


def _kind(kind: Any) -> str:
    if type(kind).__name__ == "UnionType":
        return next(_kind(t) for t in kind.types if type(t).__name__ != "NoneType")
    ends = {"ge": "from {}", "gt": "above {}", "le": "up to {}", "lt": "below {}"}
    limits = [
        words.format(f"{value:g}") for name, words in ends.items()
        if (value := getattr(kind, name, None)) is not None
    ]  # fmt: skip
    return ", ".join([KINDS[type(kind).__name__], *limits])


def _default(field: Any) -> str:
    if field.required:
        return "must be given"
    default = field.default
    if default is msgspec.NODEFAULT:
        default = field.default_factory()
    if default is None or default == "":
        return "none"
    if isinstance(default, msgspec.Struct):
        return "as below"
    if default in ([], {}, ()):
        return "empty"
    if isinstance(default, tuple):
        return ", ".join(f"`{part}`" for part in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def main() -> int:
    """Write the pages that are stale, or say so."""
    stale = [name for name in PAGES if not _is(name)]
    for name in stale:
        print(f"{name}.md")
        if "--check" not in sys.argv:
            (DOCS / f"{name}.md").write_text(page(name))
    return int(bool(stale) and "--check" in sys.argv)


def _is(name: str) -> bool:
    path = DOCS / f"{name}.md"
    return path.exists() and path.read_text() == page(name)


if __name__ == "__main__":
    sys.exit(main())
