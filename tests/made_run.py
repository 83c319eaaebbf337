"""A command on the made-up host of the live tests, in a process of its own.

`python -m tests.made_run STATE WORDS...`: STATE is a directory for the host and its lock.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pghot.linux.guard.lock
import pghot.linux.guard.settings_guard
import pghot.linux.host
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
    pghot.linux.guard.lock.STATE_DIR = state
    for room in (pghot.linux.guard.lock, pghot.linux.guard.settings_guard):
        room.default_state_dir = lambda: state
    return main(words)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
