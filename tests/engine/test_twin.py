"""The engine is the twin, which was written from the specification, whatever happens to it.

Compared after every step: records, flags, counters, the throttle's state, free pages, and
every promotion in order.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.twin.lives import Life


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 48), steps=st.integers(3, 25))
def test_any_life_of_a_machine_is_the_twins(seed, steps):
    Life(seed).live(steps)


# R12.1, R12.2, R12.3, R12.4
@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1 << 48), steps=st.integers(3, 25))
def test_any_life_under_v8_is_that_of_the_twin_that_goes_by_v8s_rules(seed, steps):
    Life(seed, v8=True).live(steps)


@pytest.mark.parametrize("v8", [False, True], ids=["v7", "v8"])
@pytest.mark.parametrize("seed", range(6))
def test_so_is_a_long_one(seed, v8):
    Life(seed, v8=v8).live(60)
