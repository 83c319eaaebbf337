"""Results that the commands wrote, and the library that draws them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pghot.cli import main
from tests.log.made import MACHINE, log_rows, run, write_log, write_machine

__all__ = ["run"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with results: `free` promoted all, `full` had no room for half."""
    path = tmp_path_factory.mktemp("results")
    log = write_log(path / "log.parquet", log_rows(pages=200, rounds=30))
    for name, free in (("free", 30000), ("full", 100)):
        machine = write_machine(path / f"{name}.toml", MACHINE.replace("30000", str(free)))
        assert main(["replay", str(log), "--machine", str(machine), "-o", str(path / name)]) == 0
    return path
