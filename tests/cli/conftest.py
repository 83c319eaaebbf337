from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.linux.host import Host
from tests.cli.live_host import LiveHost
from tests.live.world import state_in
from tests.log.made import run

__all__ = ["run"]


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Host], Host]:
    """Let commands find themselves on a host, with a state directory of its own."""

    def at(host: Host) -> Host:
        monkeypatch.setattr("pghot.linux.host.Host", lambda: host)
        return host

    state_in(tmp_path / "state", monkeypatch)
    monkeypatch.setattr("pghot.linux.guard.lock.STATE_DIR", tmp_path / "state")
    monkeypatch.setenv("COLUMNS", "80")
    return at


@pytest.fixture
def live(tmp_path: Path, at: Callable[[Host], Host]) -> LiveHost:
    """A two-tier host, on which commands find themselves, with process 40."""
    host = LiveHost(tmp_path / "host")
    host.process(40)
    at(host)
    return host
