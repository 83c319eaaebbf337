"""The recipes of `pghot help recipes` that want two nodes, as a user follows them."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pghot.log.read import open_log
from tests.test_recipes import RECIPES, run
from tests.vm import daemon
from tests.vm.load import PAGE
from tests.vm.machine import SHARED

pytestmark = pytest.mark.usefixtures("settings_come_back")

TOTAL_MIB, HOT_MIB, SECONDS = 8, 2, 12


def wanted(*programs: str) -> None:
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"no {program} here")


def hot_and_cold(said: str) -> tuple[list[int], list[int]]:
    """Virtual page numbers of the load's hot and cold pages, by what it says."""
    words = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    count = (TOTAL_MIB << 20) // PAGE
    hot = np.unpackbits(np.frombuffer(bytes.fromhex(words["hot"]), np.uint8), bitorder="little")
    pages = int(words["base"], 16) // PAGE + np.arange(count)
    return pages[hot[:count] == 1].tolist(), pages[hot[:count] == 0].tolist()


def test_hint_faults_see_pages_again_and_the_hot_ones_most(tmp_path: Path) -> None:
    wanted("perf", "numactl")
    command = f"{os.environ[SHARED]}/load {TOTAL_MIB} {HOT_MIB} {SECONDS} 1 --pause-us 0"
    try:
        done = run(RECIPES["Hint faults"].replace("COMMAND", command), tmp_path)
    finally:
        daemon.BALANCING.write_text("0")
    assert done.returncode == 0, done.stderr
    with open_log(tmp_path / "faults.parquet") as log:
        seen = Counter(
            address // PAGE
            for chunk in log.chunks(("vaddr",))
            for address in chunk.columns["vaddr"].tolist()
        )
    hot, cold = hot_and_cold(done.stdout)
    print(f"hot pages seen {np.median([seen[page] for page in hot]):.0f} times, "
          f"cold ones {np.median([seen[page] for page in cold]):.0f}")  # fmt: skip
    assert min(seen[page] for page in hot) > 1
    assert np.mean([seen[page] for page in hot]) > np.mean([seen[page] for page in cold])
