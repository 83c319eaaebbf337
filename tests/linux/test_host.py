"""Files of a host that are held open, so that settings can be put back without descriptors."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pghot.linux.host import Host

NAME = "/sys/kernel/debug/sched/numa_balancing/scan_delay_ms"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.path(NAME).parent.mkdir(parents=True)
    made.path(NAME).write_text("1000\n")
    return made


def cannot_seek(*_arguments: object) -> None:
    raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("seeks", [False, True])
def test_a_setting_is_read_and_written_whether_or_not_its_file_can_seek(
    host: Host, monkeypatch: pytest.MonkeyPatch, held, seeks
) -> None:
    if not seeks:  # as the attributes of debugfs (fs/libfs.c, DEFINE_SIMPLE_ATTRIBUTE)
        monkeypatch.setattr(os, "pread", cannot_seek)
        monkeypatch.setattr(os, "pwrite", cannot_seek)
    if held:
        host.hold(NAME)
    assert host.text(NAME) == "1000"
    assert host.text(NAME) == "1000"
    host.path(NAME).write_text("")
    host.hold(NAME)
    host.write(NAME, "100")
    assert host.path(NAME).read_text().strip("\0") == "100\n"
    host.release()
