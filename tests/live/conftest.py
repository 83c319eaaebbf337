from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.world import World, state_in


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A two-tier host with process 40, which has no memory yet."""
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    return world
