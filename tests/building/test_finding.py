"""Which form of a loop is imported: never an object of other sources, nor a loop unsaid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.building.package import ROOT, Checkout


def refusal(checkout: Checkout) -> str:
    """The last line of what an import that was refused says."""
    done = checkout.say("total(5)")
    assert done.returncode == 1
    assert not done.stdout
    last = done.stderr.splitlines()[-1]
    assert last.startswith("pghot.compiled.StaleError: ")
    return last


def test_a_loop_is_compiled_or_by_choice_interpreted_with_the_same_result(
    checkout: Checkout,
) -> None:
    assert checkout.say("total(5), is_compiled()").stdout == "(30, True)\n"
    chosen = checkout.say("total(5), is_compiled(), m()", PGHOT_LOOPS="interpreted")
    assert chosen.stdout == "(30, False, False)\n"
    assert chosen.stderr == ""


def test_an_object_whose_source_has_changed_is_refused(checkout: Checkout) -> None:
    checkout.loop.write_text(checkout.loop.read_text() + "\n")
    assert "sums.py has changed since it was compiled" in refusal(checkout)


def test_an_object_is_refused_when_declarations_have_changed(checkout: Checkout) -> None:
    (checkout.package / "deep" / "new.pxd").write_text("cdef enum:\n    LIMIT = 1\n")
    assert "has changed since it was compiled" in refusal(checkout)


def test_an_object_that_is_listed_and_missing_is_refused(checkout: Checkout) -> None:
    checkout.object.unlink()
    assert "sums.abi3.so is not there" in refusal(checkout)


def test_an_object_whose_source_is_gone_is_refused(checkout: Checkout) -> None:
    checkout.loop.unlink()
    assert "sums.py is not there" in refusal(checkout)


def test_an_object_that_cannot_be_loaded_is_refused(checkout: Checkout) -> None:
    os.truncate(checkout.object, 100)
    assert "sums.abi3.so" in refusal(checkout)


def test_a_loop_that_came_after_the_build_is_refused(checkout: Checkout) -> None:
    lines = checkout.built.read_text().splitlines(keepends=True)
    checkout.built.write_text(lines[0])
    checkout.object.unlink()
    assert "sums.py has not been compiled" in refusal(checkout)


def test_an_object_that_is_not_listed_is_never_imported(checkout: Checkout) -> None:
    lines = checkout.built.read_text().splitlines(keepends=True)
    checkout.built.write_text(lines[0])
    checkout.loop.write_text("def total(n): return -n\n")
    assert checkout.say("total(5)").stdout == "-5\n"


def test_a_list_that_says_nothing_is_refused(checkout: Checkout) -> None:
    checkout.built.write_bytes(b"\xff\n\n")
    assert "has not been compiled" in refusal(checkout)


def test_where_nothing_was_compiled_loops_run_interpreted_and_one_line_says_so(
    fresh: Checkout,
) -> None:
    done = fresh.say("total(5), is_compiled(), m()")
    assert done.stdout == "(30, False, False)\n"
    (line,) = done.stderr.splitlines()
    assert "loops are not compiled here" in line


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's own package as it is installed, objects and all."""
    place = tmp_path_factory.mktemp("copied") / "src"
    shutil.copytree(ROOT / "src", place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "examples", place.parent / "examples")
    return place


def command(place: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pghot", *arguments],
        env=os.environ | {"PYTHONPATH": str(place)} | env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_tells_in_one_line_that_an_object_is_stale(copied: Path) -> None:
    source = copied / "pghot" / "log" / "check.py"
    text = source.read_text()
    try:
        source.write_text(text + "\n")
        done = command(copied, "demo", PGHOT_LOOPS="")
    finally:
        source.write_text(text)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pghot: {source} has changed since it was compiled")
    assert not done.stdout


@pytest.mark.parametrize(
    "arguments", [("run", "-p", "1"), ("record", "-p", "1", "-o", "log.parquet")], ids=str
)
def test_live_commands_refuse_to_run_interpreted_in_one_line(arguments: tuple[str, ...]) -> None:
    done = command(ROOT / "src", *arguments, PGHOT_LOOPS="interpreted")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"pghot: pghot {arguments[0]} needs compiled loops")


LISTED = """
import sys
from collections import Counter
listed = Counter()
sys.addaudithook(lambda event, args: event == "os.listdir" and listed.update(args[:1]))
import pghot.live.run
ours = {folder: count for folder, count in listed.items() if "/pghot" in str(folder)}
print(len(ours), max(ours.values()))
"""


def test_a_folder_is_listed_once_for_loops_and_once_for_the_rest() -> None:
    words = [sys.executable, "-c", LISTED]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    folders, most = map(int, done.stdout.split())
    assert folders > 5
    assert most <= 2
