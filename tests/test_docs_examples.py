"""What the pages show at a prompt is what a shell prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pghot.linux.guard.mounts import end_mount
from pghot.serving.mount import mounted
from tests.serving.rig import answering, fuse_is_missing, within

DOCS = Path(__file__).resolve().parents[1] / "docs"


def examples(page: str) -> list[tuple[str, str]]:
    """Each command after a $ and what the page says it prints."""
    found = []
    for block in re.findall(r"```\n(\$ .*?)```", (DOCS / page).read_text(), re.DOTALL):
        for example in block.rstrip("\n").removeprefix("$ ").split("\n$ "):
            command, _, output = example.partition("\n")
            found.append((command, output))
    return found


def printed(command: str, cwd: Path, path: str = "") -> str:
    """What a command prints, on both streams, with programs by their names."""
    done = subprocess.run(
        within(cwd, "bash", "-c", command),
        env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}", "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.rstrip("\n")


@pytest.fixture
def command(tmp_path: Path) -> str:
    """A directory in which `pghot` is this one."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "pghot").write_text(f'#!/bin/sh\nexec {sys.executable} -m pghot "$@"\n')
    (directory / "pghot").chmod(0o755)
    return str(directory)


def test_the_page_of_the_service(tmp_path: Path, command: str) -> None:
    shown = examples("service.md")
    assert len(shown) == 4
    for words, output in shown:
        assert printed(words, tmp_path, command) == output


@pytest.mark.skipif(bool(fuse_is_missing()), reason=f"FUSE: {fuse_is_missing()}")
def test_the_page_of_the_mount(tmp_path: Path) -> None:
    shown = examples("mount.md")
    assert len(shown) == 5
    with answering() as run, mounted(run.mailbox, tmp_path, end_mount):
        for words, output in shown:
            assert printed(words, tmp_path) == output
