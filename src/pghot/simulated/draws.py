"""Draws of a generator, for loops that run interpreted; compiled, they take draws.pxd."""

from __future__ import annotations

import numpy as np

Bits = np.random.Generator
"""In C, what NumPy lends of its bit generator; the caller keeps the generator."""


def bits_of(generator: np.random.Generator) -> Bits:
    """What a loop draws from."""
    return generator


def uniform(bits: Bits) -> float:
    """Draw a number evenly from [0, 1), as Generator.random does."""
    return bits.random()
