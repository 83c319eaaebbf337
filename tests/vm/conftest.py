"""Boots each kernel once and keeps what every test inside said."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import kernels, machine, session

NOT_RUN = pytest.StashKey[dict[str, str]]()
"""By kernel: why its tests did not run."""

IN_GUEST = machine.INSIDE in os.environ

collect_ignore_glob = [] if IN_GUEST else ["inside/*"]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[NOT_RUN] = {}


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the very last line what a run that must leave nothing out has left out."""
    left_out = config.stash.get(NOT_RUN, {})
    if left_out and os.environ.get("CI") == "true":
        reasons = defaultdict(list)
        for which, reason in left_out.items():
            reasons[reason].append(which)
        told = "; ".join(f"VM tests on {', '.join(all_)}: {why}" for why, all_ in reasons.items())
        print(f"NOT RUN: {told}", flush=True)


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
        request.config.stash[NOT_RUN][which] = str(reason)
        pytest.skip(f"no guest with the kernel {which}: {reason}")
