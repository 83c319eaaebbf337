"""A policy of somebody's own package: the one that docs/policies.md shows, installed and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.simulated.policies import registry
from pghot.simulated.policies.policy import Policy
from pghot.simulated.policies.simulate import simulate
from tests.simulated.small_machines import machine

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "policies.md").read_text()
(MODULE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(PROJECT,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
(COMMAND,) = re.findall(r"^pghot (sim .*)$", TEXT, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of packages into which the wheel of the shown project is unpacked."""
    project, site = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    (project / "first_fault.py").write_text(MODULE)
    (project / "pyproject.toml").write_text(PROJECT)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(project)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (wheel,) = project.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def pghot(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pghot", *words],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_has_about_thirty_lines() -> None:
    assert len(MODULE.splitlines()) <= 32


def test_the_list_names_it_with_its_package(installed: Path) -> None:
    done = pghot(installed, "sim", "--list", "--json")
    assert json.loads(done.stdout)["policies"]["first-fault"] == "of first-fault"


def test_the_command_that_is_shown_runs_it_beside_ours(installed: Path) -> None:
    done = pghot(installed, *COMMAND.split(), "--json")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)["policies"]
    assert outcomes["none"]["promoted"] == 0
    moved = outcomes["first-fault"]
    assert moved["promoted"] == moved["vmstat"]["pgpromote_success"] > 0
    assert moved["fast_share"] != outcomes["none"]["fast_share"]


def point(value: str, name: str = "mine") -> EntryPoint:
    return EntryPoint(name, value, registry.GROUP)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch):
    """Have these entry points installed."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    monkeypatch.setattr(registry, "entry_points", lambda group: found[group])
    return lambda *points: found.update({registry.GROUP: points})


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("no_such_module:Policy", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:NoSuchClass", "AttributeError: .*NoSuchClass"),
        (
            "builtins:dict",
            "builtins:dict is no subclass of pghot.simulated.policies.policy.Policy",
        ),
    ],
)
def test_one_that_cannot_be_used_is_one_line_that_names_it(others, value: str, line: str) -> None:
    others(point(value))
    with pytest.raises(InputError, match=f"^policy mine of [a-z_]+: {line}"):
        registry.make("mine")


def test_a_name_of_ours_stays_ours(others) -> None:
    others(point("no_such_module:Policy", "none"))
    assert registry.policies().keys() == registry.ENTRIES.keys()
    assert isinstance(registry.make("none"), Policy)


def test_it_is_imported_only_when_it_is_chosen(others) -> None:
    others(point("no_such_module:Policy"))
    assert registry.policies()["mine"] == "of no_such_module"
    assert simulate(machine(), "none").promoted == 0


def test_a_name_that_is_none_is_told_with_all_there_are(others) -> None:
    others(point("somewhere:Policy"))
    with pytest.raises(
        InputError, match=r"^no policy mime; perhaps mine\? there are: none.*mine$"
    ):
        registry.make("mime")
