from __future__ import annotations

import pytest

from tests.rig import Rig


@pytest.fixture
def rig() -> type[Rig]:
    """Make a small machine with a started engine."""
    return Rig
