"""Somebody who is not root, beside a process that is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root against another user")


def as_nobody(act: Callable[[], object]) -> None:
    """Do something in a process that has no rights of root's; RuntimeError where it fails."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            act()
            status = 0
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise RuntimeError("not done")


def open_the_way(path: Path) -> None:
    """Let others pass through the directories above, as through those of a shared machine."""
    while path != path.parent:
        if not path.stat().st_mode & 0o001 and path.owner() == "root":
            path.chmod(path.stat().st_mode | 0o011)
        path = path.parent
