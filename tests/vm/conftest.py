"""Boots each kernel once and keeps what every test inside said."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.left_out import leave_out
from tests.vm import kernels, machine, session

IN_GUEST = machine.INSIDE in os.environ

collect_ignore_glob = [] if IN_GUEST else ["inside/*"]


@pytest.fixture(scope="session")
def boots(request: pytest.FixtureRequest) -> Iterator[session.Boots]:
    """By kernel: its one boot, made by the first test that asks."""
    items = request.session.items
    chosen = [item.callspec.params for item in items if hasattr(item, "callspec")]
    with (
        tempfile.TemporaryDirectory(prefix="pghot-vm-results-") as scratch,
        contextlib.closing(session.Boots(Path(scratch), chosen)) as made,
    ):
        yield made


@pytest.fixture
def boot(which: str, boots: session.Boots, request: pytest.FixtureRequest) -> session.Boot:
    try:
        return boots[which]
    except (session.CannotBootError, kernels.NoKernelError) as reason:
        leave_out(request.config, f"VM tests on {which}", str(reason))
