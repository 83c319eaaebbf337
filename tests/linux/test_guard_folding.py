"""A setting that a long run changes again and again takes no more room in the journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from pghot.linux.guard.settings import SCAN
from pghot.linux.guard.settings_guard import SettingsGuard, recover
from pghot.linux.host import Host
from tests.linux.guarded import KernelHost, made_host

SIZE = f"{SCAN}/scan_size_mb"
CHANGES = 300


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made_host(tmp_path / "host")
    return KernelHost(tmp_path / "host")


def change_often(guard: SettingsGuard) -> None:
    for number in range(CHANGES):
        guard.set(SIZE, str(1 + number % 200))


def test_hundreds_of_changes_come_back_as_one(host: Host, tmp_path: Path) -> None:
    before = host.text(SIZE)
    with SettingsGuard(host, tmp_path / "state") as guard:
        change_often(guard)
        assert host.text(SIZE) == str(1 + (CHANGES - 1) % 200)
        lines = (tmp_path / "state/journal").read_bytes().rstrip(b"\0").splitlines()
        assert len(lines) < 150
    assert host.text(SIZE) == before


def test_and_after_a_kill(host: Host, tmp_path: Path) -> None:
    before = host.text(SIZE)
    guard = SettingsGuard(host, tmp_path / "state")
    guard.acquire()
    change_often(guard)
    journal = (tmp_path / "state/journal").read_bytes()
    guard.close()
    (tmp_path / "state/journal").write_bytes(journal)  # as a killed run leaves it
    (tmp_path / "state/journal").chmod(0o600)
    host.write(SIZE, str(1 + (CHANGES - 1) % 200))
    recover(host, tmp_path / "state")
    assert host.text(SIZE) == before
