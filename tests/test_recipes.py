"""The recipes of `pghot help recipes` work, as far as the machine allows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.cli.parser import build_parser
from pghot.log.read import open_log

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "recipes.md").read_text()
RECIPES = {
    part.partition("\n")[0]: re.findall(r"```sh\n(.*?)```", part, re.DOTALL)[0]
    for part in TEXT.split("\n## ")[1:]
}


def run(script: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run lines as a shell does, `pghot` being this one."""
    commands = cwd / "bin"
    commands.mkdir(exist_ok=True)
    (commands / "pghot").write_text(f'#!/bin/sh\nexec {sys.executable} -m pghot "$@"\n')
    (commands / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    for name in "pghot", "sudo":
        (commands / name).chmod(0o755)
    return subprocess.run(
        ["bash", "-ec", script],
        cwd=cwd,
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def wanted(tool: str) -> None:
    if not shutil.which(tool):
        pytest.skip(f"no {tool} here")


@pytest.mark.parametrize("name", RECIPES)
def test_every_convert_of_a_recipe_can_be_read(name: str) -> None:
    for line in RECIPES[name].splitlines():
        if line.startswith("pghot convert"):
            build_parser().parse_args(shlex.split(line.partition(">")[0])[1:])


def test_the_page_on_replaying_has_one_recipe_and_it_is_the_first() -> None:
    page = (ROOT / "docs" / "replaying.md").read_text()
    (shown,) = re.findall(r"```\n([^`]*perf record[^`]*)```", page)
    assert shown == RECIPES["Hint faults"]


def test_faults_are_recorded_and_converted_and_their_text_too(tmp_path: Path) -> None:
    wanted("perf")
    record = RECIPES["Hint faults"].replace("sudo sysctl kernel.numa_balancing=1\n", "")
    done = run(record.replace("-a ", "").replace("sleep 60", "sleep 0.1"), tmp_path)
    if not (tmp_path / "faults.data").exists():
        pytest.skip(f"perf record is not possible here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    done = run(RECIPES["Text of perf"], tmp_path)
    assert done.returncode == 0, done.stderr
    with open_log(tmp_path / "faults.parquet") as log, open_log(tmp_path / "text.parquet") as text:
        assert log.rows == text.rows
        assert log.metadata is not None
        assert log.metadata.taken_by == "perf: minor-faults"
        assert {0} == {
            int(s) for chunk in log.chunks(("source",)) for s in chunk.columns["source"]
        }


def test_pages_are_seen_again_where_numa_balancing_is_on(tmp_path: Path) -> None:
    wanted("perf")
    if not Path("/sys/devices/system/node/node1").exists():
        pytest.skip("one node only: NUMA balancing finds nothing to balance")
    done = run(RECIPES["Hint faults"].replace("sleep 60", "sleep 20"), tmp_path)
    assert done.returncode == 0, done.stderr
    seen: dict[int, int] = {}
    with open_log(tmp_path / "faults.parquet") as log:
        for chunk in log.chunks(("pfn",)):
            for pfn in chunk.columns["pfn"].tolist():
                seen[pfn] = seen.get(pfn, 0) + 1
    assert max(seen.values()) > 1


def test_lackey(tmp_path: Path) -> None:
    wanted("valgrind")
    done = run(RECIPES["valgrind's lackey"].replace("COMMAND", "true"), tmp_path)
    if done.returncode and not (tmp_path / "lackey.out").exists():
        pytest.skip(f"valgrind cannot run here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lackey.parquet").exists()


def test_a_simulators_trace(tmp_path: Path) -> None:
    done = run(RECIPES["A simulator's trace"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "order.parquet").exists()
