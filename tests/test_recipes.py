"""The recipes of `pghot help recipes` work, as far as the machine allows."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.cli.parser import build_parser
from pghot.log.read import open_log
from tests.log.convert.trace_files import (
    ADDR,
    CPU,
    DATA_SRC,
    PHYS,
    TID,
    TIME,
    Event,
    PerfFile,
    pair,
    q,
    record,
    sample,
)
from tests.log.made import LOWER, MACHINE

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "recipes.md").read_text()
BLOCKS = {
    part.partition("\n")[0]: re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
    for part in TEXT.split("\n## ")[1:]
}
RECIPES = {name: blocks[0] for name, blocks in BLOCKS.items()}
SECOND = {name: blocks[1] for name, blocks in BLOCKS.items() if len(blocks) > 1}
NEAR_AND_FAR = "numactl --balancing --cpunodebind=0 --membind=1 "
"""Where the program runs, and where its memory is."""


INSTALLED = Path(sys.executable).parent
"""Where damo is."""


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
        env={**os.environ, "PATH": f"{commands}:{os.environ['PATH']}:{INSTALLED}"},
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
    for line in "".join(BLOCKS[name]).replace("\\\n", "").splitlines():
        if line.startswith("pghot convert"):
            build_parser().parse_args(shlex.split(line.partition(">")[0])[1:])


@pytest.mark.parametrize("page", ["docs/replaying.md", "README.md"])
def test_a_page_with_one_recipe_has_the_first(page: str) -> None:
    page = (ROOT / page).read_text()
    (shown,) = re.findall(r"```\n([^`]*perf record[^`]*)```", page)
    assert shown == RECIPES["Hint faults"]


def test_faults_are_recorded_and_converted_and_their_text_too(tmp_path: Path) -> None:
    wanted("perf")
    record = RECIPES["Hint faults"].replace("sudo sysctl kernel.numa_balancing=1\n", "")
    done = run(record.replace(NEAR_AND_FAR, "").replace("COMMAND", "true"), tmp_path)
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


def test_what_runs_already_is_recorded(tmp_path: Path) -> None:
    wanted("perf")
    record = SECOND["Hint faults"].replace("sudo sysctl kernel.numa_balancing=1\n", "")
    done = run(record.replace("-a ", "").replace("sleep 60", "sleep 0.1"), tmp_path)
    if not (tmp_path / "system.data").exists():
        pytest.skip(f"perf record is not possible here: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "system.parquet").exists()


@pytest.mark.parametrize(
    ("name", "pmu"),
    [("AMD IBS", "ibs_op"), ("Intel PEBS", "cpu/events/mem-loads"), ("Arm SPE", "arm_spe_0")],
)
def test_hardware_samples_where_there_is_the_hardware(tmp_path: Path, name: str, pmu: str) -> None:
    wanted("perf")
    if not Path("/sys/bus/event_source/devices", pmu).exists():
        pytest.skip(f"no {pmu} here")
    done = run(RECIPES[name].replace("sleep 60", "sleep 2"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.parquet"))


@pytest.mark.parametrize("name", ["AMD IBS", "Intel PEBS", "Arm SPE"])
def test_what_hardware_samples_hold_is_converted_as_the_recipe_says(
    tmp_path: Path, name: str
) -> None:
    (file,) = re.findall(r"-o (\w+)\.data", RECIPES[name])
    (tmp_path / f"{file}.data").write_bytes(of_spe() if name == "Arm SPE" else of_memory_events())
    (tmp_path / "machine.toml").write_text(MACHINE)
    convert = next(line for line in RECIPES[name].splitlines() if line.startswith("pghot convert"))
    done = run(convert, tmp_path)
    assert done.returncode == 0, done.stderr
    with open_log(tmp_path / f"{file}.parquet") as log:
        (chunk,) = log.chunks(("pfn", "source"))
    assert chunk.columns["pfn"].tolist() == [LOWER + 1, LOWER + 2]
    assert chunk.columns["source"].tolist() == [1, 1]


def of_memory_events() -> bytes:
    """A perf.data as IBS and PEBS leave it: virtual and physical addresses, and data_src."""
    event = Event(TID | TIME | ADDR | CPU | DATA_SRC | PHYS)
    samples = [
        sample(pair(7, 7), 1000 * at, 0x7F00_0000_0000 + at, pair(1, 0), 4, (LOWER + at) << 12)
        for at in (1, 2)
    ]
    return PerfFile([event], samples).to_bytes()


def of_spe() -> bytes:
    """A perf.data as SPE leaves it: packets with both addresses, kind and time of each access."""
    packets = b"".join(
        b"\xb2" + (0x7F00_0000_0000 + at).to_bytes(8, "little")
        + b"\xb3" + ((LOWER + at) << 12).to_bytes(8, "little")
        + b"\x49\x00\x71" + (5000 * at).to_bytes(8, "little")
        for at in (1, 2)
    )  # fmt: skip
    head = struct.pack("<QQQIIII", len(packets), 0, 0, 0, 7, 3, 0)
    spe = [record(70, struct.pack("<IIQ", 4, 0, 0)), record(79, q(0, 1, 0))]
    return PerfFile([Event(TIME)], [*spe, record(71, head) + packets]).to_bytes()


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
