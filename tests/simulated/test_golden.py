"""Every preset, in a small slice: what came out when the figures were last looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pghot.simulated.scenario.file import presets
from tests.simulated.golden import FILE, figures

GOLDEN: dict[str, Any] = json.loads(FILE.read_text())


def close(value: Any) -> Any:
    """Let the last digits of what is real be those of another processor's."""
    if isinstance(value, dict):
        return {name: close(inner) for name, inner in value.items()}
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def test_every_preset_has_golden_results_and_no_other_has() -> None:
    assert list(GOLDEN) == presets()


@pytest.mark.parametrize("name", presets())
def test_a_preset_gives_what_it_gave(name: str) -> None:
    found = figures(name)
    assert list(found) == list(GOLDEN[name])
    for policy, result in found.items():
        assert result == close(GOLDEN[name][policy]), policy
