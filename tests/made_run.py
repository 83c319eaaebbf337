"""A command on the made-up host of the live tests, in a process of its own.

`python -m tests.made_run STATE WORDS...`: STATE is a directory for the host and its lock.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pghot.linux.guard
import pghot.linux.host
import pghot.linux.lock
from pghot.cli import main
from tests.cli.live_host import LiveHost


def made(directory: Path) -> LiveHost:
    """A host with process 40, which accesses some slow pages again and again."""
    host = LiveHost(directory / "host")
    host.process(40)
    for page in range(100, 120):
        host.map(40, page)
    host.heat(40, *range(100, 120), times=3, each_ms=10)
    return host


def run(directory: Path, words: list[str]) -> int:
    """Run a command there."""
    host = made(directory)
    state = directory / "state"
    pghot.linux.host.Host = lambda: host
    pghot.linux.lock.STATE_DIR = state
    for room in (pghot.linux.lock, pghot.linux.guard):
        room.default_state_dir = lambda: state
    return main(words)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
