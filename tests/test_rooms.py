"""Data flows one way: each room of the package knows only those before it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts import architecture

import pghot

ROOT = Path(pghot.__file__).parent
ROOMS = {
    "engine": {"engine"},
    "baselines": {"baselines", "engine"},
    "errors": set(),
    "compiled": {"errors"},
    "files": {"errors", "files"},
    "binning": {"binning", "driving", "engine", "errors", "files", "log"},
    "workers": {"errors"},
    "tables": {"errors", "files"},
    "log": {"engine", "errors", "files", "log", "tables"},
    "linux": {"engine", "errors", "files", "linux", "workers"},
    "driving": {"driving", "engine", "errors", "log"},
    "sources": {"driving", "engine", "errors", "files", "linux", "log", "sources"},
    "results": {"baselines", "engine", "log", "results", "simulated"},
    "replaying": {
        "baselines",
        "binning",
        "driving",
        "engine",
        "errors",
        "files",
        "log",
        "replaying",
        "results",
        "simulated",
    },
    "live": {
        "baselines",
        "binning",
        "driving",
        "engine",
        "errors",
        "linux",
        "log",
        "results",
        "sources",
        "live",
    },
    "why": {"engine", "errors", "log", "why"},
    "workloads": {"engine", "errors", "log", "workloads"},
    "simulated": {"binning", "engine", "errors", "tables", "workloads", "simulated"},
    "exploring": {
        "baselines",
        "engine",
        "errors",
        "exploring",
        "files",
        "log",
        "replaying",
        "results",
        "simulated",
        "tables",
        "workloads",
        "",
    },
    "report": {
        "baselines",
        "exploring",
        "binning",
        "driving",
        "engine",
        "errors",
        "files",
        "linux",
        "live",
        "log",
        "sources",
        "replaying",
        "results",
        "simulated",
        "workloads",
        "why",
        "report",
    },
    "serving": {"driving", "engine", "errors", "files", "live", "report", "serving", "workers"},
    "top": {
        "driving",
        "engine",
        "errors",
        "live",
        "log",
        "replaying",
        "report",
        "simulated",
        "top",
    },
    "cli": {
        "compiled",
        "driving",
        "engine",
        "errors",
        "exploring",
        "files",
        "linux",
        "live",
        "log",
        "sources",
        "replaying",
        "results",
        "simulated",
        "workloads",
        "why",
        "report",
        "tables",
        "serving",
        "top",
        "workers",
        "cli",
        "",
    },
    "__main__": {"cli"},
    "": {
        "compiled",
        "driving",
        "engine",
        "errors",
        "exploring",
        "log",
        "replaying",
        "report",
        "simulated",
        "sources",
    },
}
"""What the modules of each room may import of pghot; "" is `pghot` itself."""

MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def room(module: str) -> str:
    """Give the room of `pghot.room.module`."""
    return [*module.split("."), ""][1]


def imports(module: str) -> Iterator[str]:
    """Give the modules that a module imports, wherever in it and for whatever reason."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in MODULES else base


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_rooms_before_its_own(module: str) -> None:
    ours = {name for name in imports(module) if name.split(".")[0] == "pghot"}
    assert ours <= MODULES.keys()
    assert {room(name) for name in ours} <= ROOMS[room(module)]


def test_who_serves_a_run_meets_it_at_the_mailbox_alone() -> None:
    serving = [module for module in MODULES if room(module) == "serving"]
    met = {name for module in serving for name in imports(module) if room(name) == "live"}
    assert met == {"pghot.live.mailbox"}


def test_every_room_is_known() -> None:
    assert {room(module) for module in MODULES} == ROOMS.keys()


def test_imports_are_found() -> None:
    """So that the tests above can fail."""
    assert "pghot.log.schema" in set(imports("pghot.log.read"))
    assert {"pghot.replaying.output", "pghot.report.table"} <= set(imports("pghot.cli.replay"))
    assert "pghot" in set(imports("pghot.cli.parser"))


def test_no_class_name_stands_for_two_things() -> None:
    of = defaultdict(set)
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                of[node.name].add(str(path.relative_to(ROOT)))
    assert {name: files for name, files in of.items() if len(files) > 1} == {}


def test_the_picture_of_the_rooms_is_current() -> None:
    """If not: scripts/architecture.py."""
    assert architecture.PICTURE.read_text() == architecture.draw()


def test_the_picture_has_every_room_above_those_that_it_imports() -> None:
    rows = architecture.layers(architecture.imports())
    level = {name: at for at, row in enumerate(rows) for name in row}
    assert level.keys() <= ROOMS.keys()
    above = {(one, two) for one in level for two in ROOMS[one] & level.keys() if one != two}
    drawn = {(one, two) for one, names in architecture.imports().items() for two in names}
    assert drawn <= above
    assert all(level[one] < level[two] for one, two in drawn)
