"""Checkouts with loops to compile."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.building.package import Checkout, hook_module


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """A checkout in which nothing has been compiled."""
    return Checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if hook_module().missing():
        pytest.skip(f"no {hook_module().missing().what}")
    checkout = Checkout(tmp_path_factory.mktemp("build") / "checkout")
    done = checkout.build()
    assert done.returncode == 0, done.stderr
    return checkout.root


@pytest.fixture
def checkout(compiled_once: Path, fresh: Checkout) -> Checkout:
    """A checkout in which all loops have been compiled."""
    shutil.rmtree(fresh.root)
    shutil.copytree(compiled_once, fresh.root)
    return fresh
