"""What holds for every module of the package that is compiled, and for those beside them."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from tests.building.package import ROOT, hook_module

SOURCES = ROOT / "src"
MOST_ARGUMENTS = 10
ENUM = re.compile(r"^(?:cdef|cpdef) enum[^\n]*:\n((?:[ \t]+[^\n]*\n|\n|#[^\n]*\n)+)", re.MULTILINE)
ITEM = re.compile(r"^\s+(\w+)\s*=\s*([^#\n]+)", re.MULTILINE)


def constants(declarations: Path) -> dict[str, int]:
    """Items of all enums of a .pxd file, each with its value."""
    found: dict[str, int] = {}
    for body in ENUM.findall(declarations.read_text() + "\n"):
        for name, value in ITEM.findall(body):
            found[name] = eval(value.strip(), {"__builtins__": {}}, found)  # noqa: S307
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SOURCES).with_suffix("").parts)


def in_project(path: Path) -> str:
    return str(path.relative_to(SOURCES))


DECLARED = [path for path in sorted(SOURCES.rglob("*.pxd")) if constants(path)]
LOOPS = [*hook_module().loop_modules(ROOT).values()]


@pytest.mark.parametrize("declarations", DECLARED, ids=in_project)
def test_constants_known_to_the_c_compiler_are_those_of_the_python_module(
    declarations: Path,
) -> None:
    module = importlib.import_module(module_name(declarations))
    declared = constants(declarations)
    text = declarations.with_suffix(".py").read_text()
    assigned = {
        target.id
        for statement in ast.parse(text).body
        for target in (statement.targets if isinstance(statement, ast.Assign) else [])
        if isinstance(target, ast.Name)
    }
    assert set(declared) <= assigned
    assert declared == {name: int(getattr(module, name)) for name in declared}


def test_enums_are_found() -> None:
    assert constants(SOURCES / "pghot" / "engine" / "units.pxd")["PAGES_PER_SECTION"] == 32768


def arguments_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = function.args
    names = [item.arg for item in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("path", LOOPS, ids=in_project)
def test_no_function_of_a_module_with_loops_takes_more_than_ten_arguments(path: Path) -> None:
    found = {
        node.name: arguments_of(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert not {name: count for name, count in found.items() if count > MOST_ARGUMENTS}
