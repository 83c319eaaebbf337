"""The policies by name.  A new one is a file beside this and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pghot.engine.fidelity import IMPROVED
from pghot.engine.layout import PRECISE
from pghot.policies.everywhere import Everywhere
from pghot.policies.interleave import Interleave
from pghot.policies.none import NoPromotion
from pghot.policies.numab2 import NumaBalancing
from pghot.policies.oracle import Oracle
from pghot.policies.pghot import Pghot
from pghot.policies.policy import Policy

_FAULTS, _HARDWARE = 0b01, 0b10


class Entry(NamedTuple):
    """A policy: what it is, in a line, and how to make one.

    `bound`: its placement is given, at no cost, and kswapd does not touch it.
    """

    what: str
    make: Callable[[], Policy]
    bound: bool = False


ENTRIES = {
    "none": Entry("no promotion", NoPromotion),
    "numab2": Entry(
        "NUMA balancing's tiering mode before the series: promotion in the fault", NumaBalancing
    ),
    "pghot-hintfault": Entry("the series, v7, hint faults", lambda: Pghot(_FAULTS)),
    "pghot-hwhint": Entry("the series, v7, IBS Memory Profiler", lambda: Pghot(_HARDWARE)),
    "precise-hintfault": Entry(
        "the series, v7, precision mode, hint faults", lambda: Pghot(_FAULTS, PRECISE)
    ),
    "precise-hwhint": Entry(
        "the series, v7, precision mode, IBS Memory Profiler", lambda: Pghot(_HARDWARE, PRECISE)
    ),
    "improved-hintfault": Entry(
        "the series with its defects mended, hint faults",
        lambda: Pghot(_FAULTS, fidelity=IMPROVED),
    ),
    "improved-hwhint": Entry(
        "the series with its defects mended, IBS Memory Profiler",
        lambda: Pghot(_HARDWARE, fidelity=IMPROVED),
    ),
    "interleave": Entry("pages dealt out among all nodes, no promotion", Interleave),
    "oracle": Entry("the bound: knows who accesses what, moves at no cost", Oracle, bound=True),
    "all-fast": Entry(
        "every access to the top tier, whatever its room",
        lambda: Everywhere(toptier=True),
        bound=True,
    ),
    "all-slow": Entry(
        "every access below the top tier", lambda: Everywhere(toptier=False), bound=True
    ),
}

POLICIES = {name: entry.what for name, entry in ENTRIES.items()}
"""What each policy is, in one line."""

BOUNDS = {"all fast": "all-fast", "all slow": "all-slow"}
"""Policies that every comparison is held between, by what is said of them."""
