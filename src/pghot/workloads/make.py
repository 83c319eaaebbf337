"""Making a stream as a scenario names it: `stream = {kind = "zipf", s = 1.1}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pghot.errors import InputError
from pghot.workloads.stream import Stream
from pghot.workloads.stream_kinds import KINDS, parse

__all__ = ["KINDS", "make_stream", "scaled"]

MOST_UNITS = 1 << 31
"""Folios are numbered in 32 bits where there are many of them."""

_COUNTS_OF_ACCESSES = ("move_every", "accesses")


def make_stream(
    kind: str, folios: int, options: Mapping[str, Any], rng: np.random.Generator
) -> Stream:
    """Make a stream over `folios` folios; all that is random in it comes from `rng`.

    InputError, one line, for a kind that is not in `KINDS`, an option that it does not
    have, or a value that is none.
    """
    if not 0 < folios < MOST_UNITS:
        raise InputError(f"stream {kind}: {folios} folios: wants 1 to {MOST_UNITS - 1}")
    return parse(kind, options).stream(folios, rng)


def scaled(options: Mapping[str, Any], scale: float) -> dict[str, Any]:
    """Options for a slice of the machine: numbers of accesses shrink with it."""
    made = dict(options)
    for name in _COUNTS_OF_ACCESSES:
        if isinstance(made.get(name), int | float):
            made[name] = max(made[name] * scale, 1.0)
    if isinstance(made.get("phase"), list):
        made["phase"] = [scaled(phase, scale) for phase in made["phase"]]
    return made
