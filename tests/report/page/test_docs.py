"""What docs/report.md shows is what a reader gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.binning.forms import Binned
from pghot.cli import main

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "report.md").read_text()


def test_its_example_makes_a_report(tmp_path: Path) -> None:
    (example,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", example], cwd=tmp_path, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "<h1>pghot: free, slow</h1>" in (tmp_path / "report.html").read_text()


def test_it_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--help"])
    options = set(re.findall(r"(?<!\S)--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert options <= set(re.findall(r"--[a-z-]+", TEXT))


def test_it_names_every_key_of_a_run_in_binned_json() -> None:
    assert set(Binned.__struct_fields__) <= set(re.findall(r"`(\w+)`", TEXT))
