"""Colour is for a terminal alone, and NO_COLOR turns it off."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;0-9]*m")
COMMANDS = (
    ("doctor",),
    ("topology",),
    ("help", "run"),
    ("sim", "--list"),
    ("demo",),
    ("restore", "--help"),
    ("replay", "none.parquet"),
)


def environment(**more: str) -> dict[str, str]:
    unset = {"NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "PYTHON_COLORS"}
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    return kept | {"TERM": "xterm-256color", "COLUMNS": "80"} | more


def on_a_terminal(*words: str, **more: str) -> str:
    """What a command writes to a terminal that is its stdout and stderr."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "pghot", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(**more), stdin=its, stdout=its, stderr=its
    ) as process:
        os.close(its)
        said = b""
        try:
            while piece := os.read(ours, 1 << 16):
                said += piece
        except OSError:  # the terminal has no other end any more
            pass
        process.wait(timeout=90)
    os.close(ours)
    return said.decode()


def test_a_terminal_sees_colour() -> None:
    assert COLOUR.search(on_a_terminal("doctor"))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_color_leaves_none(words: tuple[str, ...]) -> None:
    said = on_a_terminal(*words, NO_COLOR="1")
    assert said.strip()
    assert not COLOUR.search(said)


def test_a_terminal_that_can_do_nothing_gets_plain_text() -> None:
    assert "\x1b" not in on_a_terminal("doctor", TERM="dumb")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_gets_plain_text(words: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "pghot", *words]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
