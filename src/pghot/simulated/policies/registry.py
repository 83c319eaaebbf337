"""The policies by name: those of this package, and those of others that are installed.

A new one here is a file beside this and a line in ENTRIES.  Elsewhere it is an entry point of
the group `pghot.policies`, a subclass of `Policy` (docs/policies.md); its module is imported
when it is chosen, not before.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from pghot.engine.did_you_mean import perhaps
from pghot.engine.fidelity import IMPROVED, V8
from pghot.engine.layout import PRECISE
from pghot.errors import InputError
from pghot.simulated.policies.everywhere import Everywhere
from pghot.simulated.policies.interleave import Interleave
from pghot.simulated.policies.none import NoPromotion
from pghot.simulated.policies.numab2 import NumaBalancing
from pghot.simulated.policies.oracle import Oracle
from pghot.simulated.policies.pghot import HardwareHints, HintFaults
from pghot.simulated.policies.policy import Policy

GROUP = "pghot.policies"


class PolicyEntry(NamedTuple):
    """A policy: what it is, in a line, and how to make one.

    `bound`: its placement is given, at no cost, and kswapd does not touch it.
    """

    what: str
    make: Callable[[], Policy]
    bound: bool = False


ENTRIES = {
    "none": PolicyEntry("no promotion", NoPromotion),
    "numab2": PolicyEntry(
        "NUMA balancing's tiering mode before the series: promotion in the fault", NumaBalancing
    ),
    "pghot-hintfault": PolicyEntry("the series, v7, hint faults", HintFaults),
    "pghot-hwhint": PolicyEntry("the series, v7, IBS Memory Profiler", HardwareHints),
    "precise-hintfault": PolicyEntry(
        "the series, v7, precision mode, hint faults", lambda: HintFaults(PRECISE)
    ),
    "precise-hwhint": PolicyEntry(
        "the series, v7, precision mode, IBS Memory Profiler", lambda: HardwareHints(PRECISE)
    ),
    "v8-hintfault": PolicyEntry("the series, v8, hint faults", lambda: HintFaults(fidelity=V8)),
    "v8-hwhint": PolicyEntry(
        "the series, v8, IBS Memory Profiler", lambda: HardwareHints(fidelity=V8)
    ),
    "v8-precise-hintfault": PolicyEntry(
        "the series, v8, precision mode, hint faults", lambda: HintFaults(PRECISE, V8)
    ),
    "v8-precise-hwhint": PolicyEntry(
        "the series, v8, precision mode, IBS Memory Profiler",
        lambda: HardwareHints(PRECISE, V8),
    ),
    "improved-hintfault": PolicyEntry(
        "the series with its defects mended, hint faults",
        lambda: HintFaults(fidelity=IMPROVED),
    ),
    "improved-hwhint": PolicyEntry(
        "the series with its defects mended, IBS Memory Profiler",
        lambda: HardwareHints(fidelity=IMPROVED),
    ),
    "interleave": PolicyEntry("pages dealt out among all nodes, no promotion", Interleave),
    "oracle": PolicyEntry(
        "the bound: knows who accesses what, moves at no cost", Oracle, bound=True
    ),
    "all-fast": PolicyEntry(
        "every access to the top tier, whatever its room",
        lambda: Everywhere(toptier=True),
        bound=True,
    ),
    "all-slow": PolicyEntry(
        "every access below the top tier", lambda: Everywhere(toptier=False), bound=True
    ),
}


def outside() -> dict[str, EntryPoint]:
    """Policies of other packages by name; a name that ENTRIES has stays ours."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return {point.name: point for point in points if point.name not in ENTRIES}


def policies() -> dict[str, str]:
    """What each policy is, in one line; of another package's, whose it is."""
    ours = {name: entry.what for name, entry in ENTRIES.items()}
    return ours | {name: f"of {_package(point)}" for name, point in outside().items()}


def make(name: str) -> Policy:
    """A new policy of this name.

    InputError where there is none, or where another package's cannot be loaded.
    """
    if name in ENTRIES:
        return ENTRIES[name].make()
    others = outside()
    if name not in others:
        near = perhaps(name, [*ENTRIES, *others])
        raise InputError(f"no policy {name}; {near}there are: {', '.join([*ENTRIES, *others])}")
    return _load(others[name])


def _load(point: EntryPoint) -> Policy:
    where = f"policy {point.name} of {_package(point)}"
    try:
        made = point.load()()
    except Exception as error:  # whatever a module of another package may raise
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(made, Policy):
        raise InputError(
            f"{where}: {point.value} is no subclass of pghot.simulated.policies.policy.Policy"
        )
    return made


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.module


POLICIES = policies()
"""What each policy is, in one line, as installed when this module is imported."""

BOUNDS = {"all fast": "all-fast", "all slow": "all-slow"}
"""Policies that every comparison is held between, by what is said of them."""
