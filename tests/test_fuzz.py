"""What `scripts/fuzz` begins with: every format has a whole file that its target reads."""

from __future__ import annotations

import pytest

from tests.fuzz import ANY, CHOICES, seeds, target, targets


@pytest.mark.parametrize("name", targets())
def test_every_target_has_seeds_and_reads_them(name: str) -> None:
    found = seeds(name)
    assert found
    for seed in found[:4] if name == ANY else found:
        target(name)(b"\0" * CHOICES + seed)
        target(name)(b"\xff" * CHOICES + seed)  # packed, and other options
