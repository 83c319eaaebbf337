"""What docstrings show is what a reader gets."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import pghot

ROOT = Path(pghot.__file__).parents[2]
MODULES = ("exploring.advise", "exploring.curve", "exploring.sweep", "simulated.policies.simulate")


@pytest.mark.compiled
@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = doctest.testmod(importlib.import_module(f"pghot.{name}"))
    assert found.attempted
    assert not found.failed
