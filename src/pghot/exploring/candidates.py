"""Which policies and settings are tried."""

from __future__ import annotations

from itertools import product

from pghot.engine.tunables import TUNABLES
from pghot.exploring.policy_runs import Candidate
from pghot.simulated.policies.registry import POLICIES

FIRST_TOUCH, INTERLEAVE, ORACLE = "none", "interleave", "oracle"
DEFAULTS = ("pghot-hintfault", "pghot-hwhint")
"""The series as it is, by its two sources."""

OURS = ("pghot-", "precise-", "v8-")
"""How policies begin that a patched kernel has; `improved` is in no kernel."""

GRID: dict[str, tuple[str | None, ...]] = {
    "freq_threshold": (None, "1", "3"),
    "pghot_promote_freq_window_ms": (None, "1000", "10000"),
}
"""Values of tunables; None leaves the default."""


def candidates() -> list[Candidate]:
    """Every policy of a kernel with every combination of settings, defaults first."""
    policies = policies_of_a_kernel()
    found = [
        Candidate(
            policy,
            tuple((name, text) for name, text in zip(GRID, chosen, strict=True) if text),
        )
        for chosen in product(*GRID.values())
        for policy in policies
    ]
    return sorted(found, key=lambda candidate: len(candidate.settings))


def policies_of_a_kernel() -> list[str]:
    """Policies that a patched kernel has."""
    return [name for name in POLICIES if name.startswith(OURS)]


def source_of(policy: str) -> str:
    """The source of accesses that a policy has."""
    return policy.rpartition("-")[2]


def config_text(candidate: Candidate) -> str:
    """A configuration file of `pghot run` with a candidate's settings."""
    mode = "precise" if "precise" in candidate.policy else "default"
    lines = [
        f"# {candidate.words()}, by pghot advise",
        f'source = ["{source_of(candidate.policy)}"]',
        f'mode = "{mode}"',
        'fidelity = "v7"',
    ]
    if candidate.settings:
        lines += ["", "[tunables]"]
        lines += [f"{name} = {text}" for name, text in candidate.settings]
    return "\n".join(lines) + "\n"


def kernel_text(candidate: Candidate) -> str:
    """The writes to the files of a kernel with the series that set a candidate."""
    bits = 1 if source_of(candidate.policy) == "hintfault" else 2
    settings = [("enabled_sources", f"{bits:#x}"), *candidate.settings]
    if bits & 1:  # no page is marked for a fault otherwise
        settings.insert(0, ("numa_balancing", "2"))
    lines = ["#!/bin/sh", f"# {candidate.words()}, by pghot advise", "set -e"]
    if "precise" in candidate.policy:
        lines.append("# wants a kernel with CONFIG_PGHOT_PRECISE=y")
    for name, text in settings:
        where, _, below = TUNABLES[name].where.partition(" ")
        if where == "debugfs":
            lines.append(f"echo {text} > /sys/kernel/debug/{below}{name}")
        else:
            lines.append(f"sysctl -w {below}{name}={text}")
    return "\n".join(lines) + "\n"
