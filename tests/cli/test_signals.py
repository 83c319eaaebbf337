"""A signal ends a command, whatever that is doing at the moment."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

SWALLOWED = """
import signal, sys, time
import pghot.cli, pghot.cli.topology

class Swallows:
    def __del__(self):
        signal.raise_signal(NUMBER)

def run(args):
    Swallows()
    time.sleep(60)
    return 0

pghot.cli.topology.run = run
sys.exit(pghot.cli.main(["topology"]))
"""
"""A command that is at a finalizer, where Python ignores exceptions, when the signal comes."""


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGINT, "pghot: interrupted; nothing was written\n"), (signal.SIGTERM, "")],
)
def test_one_that_comes_in_a_finalizer_is_not_lost(number, said) -> None:
    code = SWALLOWED.replace("NUMBER", str(int(number)))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (128 + number, said)


def test_what_else_a_finalizer_raises_is_told_as_ever() -> None:
    code = SWALLOWED.replace("signal.raise_signal(NUMBER)", "1 / 0").replace("60", "0")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0
    assert "ZeroDivisionError" in done.stderr
