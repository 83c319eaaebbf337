"""What a run of the tests could not run at all: conftest.py tells it in the very last line."""

from __future__ import annotations

from typing import NoReturn

import pytest

NOT_RUN = pytest.StashKey[dict[str, str]]()
"""By what it is: why."""


def leave_out(config: pytest.Config, what: str, reason: str) -> NoReturn:
    """Skip a test that needs what this machine lacks."""
    config.stash[NOT_RUN][what] = reason
    pytest.skip(f"{what}: {reason}")
