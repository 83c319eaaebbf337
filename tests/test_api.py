"""The names that a program may use, their types and what they say of themselves."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pghot


def python(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


CHANGED = """
import importlib, pghot
home = {name: importlib.import_module(module) for name, module in pghot._HOME.items()}
print([name for name in home if getattr(pghot, name) is not getattr(home[name], name)])
"""


def test_every_name_stands_for_the_same_after_everything_is_imported() -> None:
    assert python(CHANGED) == "[]"


def test_every_other_name_stands_for_the_same_after_everything_is_imported() -> None:
    assert python(CHANGED) in {"[]", "['replay']"}


@pytest.mark.parametrize("first", ["pghot.replaying.replay", "pghot.replaying.output"])
def test_replay_is_the_function_whatever_was_imported_before(first: str) -> None:
    assert python(f"import {first}; print(callable(pghot.replay))") == "True"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pghot' has no attribute 'chameleon'"):
        _ = pghot.chameleon


def test_dir_lists_the_names() -> None:
    assert {*pghot.__all__, "__version__"} <= set(dir(pghot))


def test_importing_pghot_imports_no_large_library() -> None:
    large = {"numpy", "pyarrow"}
    assert python(f"import pghot, sys; print({large} & set(sys.modules))") == "set()"


def public(name: str) -> Any:
    """What a name stands for: from its home, as `pghot.replay` is a package too."""
    return getattr(importlib.import_module(pghot._HOME[name]), name)


def documented(name: str) -> list[tuple[str, Any]]:
    """A public object and, of a class, its public methods and properties."""
    thing = public(name)
    if not inspect.isclass(thing):
        return [(name, thing)] if callable(thing) else []
    members = [
        (f"{name}.{key}", value)
        for key, value in vars(thing).items()
        if not key.startswith("_")
        and (inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod))
    ]
    return [(name, thing), *members]


@pytest.mark.parametrize("name", pghot.__all__)
def test_what_is_public_says_what_it_is(name: str) -> None:
    silent = [full for full, thing in documented(name) if not (thing.__doc__ or "").strip()]
    assert silent == []
    assert not isinstance(public(name), ModuleType)


def test_the_members_of_classes_are_looked_at() -> None:
    assert {"Engine.record_many", "Engine.work_requested", "Engine.start"} <= {
        name for name, _ in documented("Engine")
    }


RIGHT = """
from typing import assert_type

import numpy as np
import numpy.typing as npt

import pghot
from pghot import ArrayMemory, Engine, Machine, Node, Result, Settings, create_log, replay

memory = ArrayMemory([Node(0, 0, 32768, True), Node(1, 32768, 32768, False, free_pages=5)])
engine = Engine(memory, pghot.PRECISE, hz=250, fidelity=pghot.IMPROVED)
engine.write("freq_threshold", "3")
engine.start()
assert_type(engine.record(40000, -1, 0, 17), int)
assert_type(engine.record_many(np.arange(9), 0, 1, 20), int)
for batch in engine.look(30):
    assert_type(batch, pghot.Batch)
    assert_type(batch.pages_moved, int)
assert_type(engine.accesses_on_toptier, int)
assert_type(memory.free_pages(0), int)

machine = Machine.load("machine.toml")
assert_type(machine, Machine)
assert_type(machine.nodes, tuple[Node, ...])
result = replay("log.parquet", machine, Settings(tunables={"target_nid": "0"}))
assert_type(result, Result)
assert_type(result.share_fast, float)
with create_log("new.parquet", pghot.Metadata(machine=machine.to_dict())) as writer:
    writer.write({"time_us": np.zeros(1, np.uint64)})
    assert_type(writer.rows, int)
with pghot.open_log("new.parquet") as log:
    for chunk in log.chunks():
        assert_type(len(chunk), int)
try:
    pass
except (pghot.InputError, pghot.PghotError) as error:
    assert_type(error.exit_status, int)
"""

WRONG = """
from pghot import ArrayMemory, Engine, Machine, Node, Settings, create_log, replay

Engine(Node(0, 0, 32768, True))
Node("0", 0, 32768, True)
ArrayMemory(7)
Settings(tunables=["freq_threshold=2"])
replay(7)
Machine.load(b"machine.toml")
create_log("log.parquet", optional="pid")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None,
    reason="mypy is not installed: pip install --group check",
)
def test_types_of_right_uses_are_known_and_wrong_uses_are_found(tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "mypy.ini").write_text("[mypy]\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--show-error-codes",
            "--cache-dir", str(tmp_path / "cache"), "right.py", "wrong.py",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if not line.startswith("wrong.py:")] == []
    found = [int(line.split(":")[1]) for line in errors if line.startswith("wrong.py:")]
    first = WRONG.splitlines().index("Engine(Node(0, 0, 32768, True))") + 1
    assert found == [*range(first, WRONG.count("\n") + 1)]
