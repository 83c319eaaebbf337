"""Which policies and settings are tried."""

from __future__ import annotations

from itertools import product

from pghot.engine.fidelity import FIDELITIES, V7, V8
from pghot.engine.layout import DEFAULT, PRECISE, Layout
from pghot.engine.tunables import tunables_of, v8_window_ms
from pghot.exploring.policy_runs import Candidate, Settings
from pghot.simulated.policies.registry import POLICIES

FIRST_TOUCH, INTERLEAVE, ORACLE = "none", "interleave", "oracle"

POSTINGS = (V7.name, V8.name)
"""The postings of the series that a kernel may have; `improved` is in no kernel."""

DEFAULTS = {
    V7.name: ("pghot-hintfault", "pghot-hwhint"),
    V8.name: ("v8-hintfault", "v8-hwhint"),
}
"""The series as it is, by its two sources, of each posting."""

_OF_V8, _PRECISE, _OF_V7 = "v8-", "precise-", "pghot-"

THRESHOLD, WINDOW = "freq_threshold", "pghot_promote_freq_window_ms"
GRID: dict[str, tuple[str | None, ...]] = {
    THRESHOLD: (None, "1", "3"),
    WINDOW: (None, "1000", "10000"),
}
"""Values of tunables, moved into the range that a posting has; None leaves the default."""


def candidates(posting: str = V7.name) -> list[Candidate]:
    """Every policy of a posting with every combination of settings, defaults first."""
    found = [
        Candidate(policy, _settings(policy, chosen))
        for chosen in product(*GRID.values())
        for policy in policies_of(posting)
    ]
    return sorted(found, key=lambda candidate: len(candidate.settings))


def policies_of(posting: str) -> list[str]:
    """Policies that a kernel with this posting of the series has."""
    starts = (_OF_V8,) if posting == V8.name else (_OF_V7, _PRECISE)
    return [name for name in POLICIES if name.startswith(starts)]


def posting_of(policy: str) -> str:
    """The posting of the series that a policy simulates."""
    return V8.name if policy.startswith(_OF_V8) else V7.name


def layout_of(policy: str) -> Layout:
    """The record layout that a policy has."""
    return PRECISE if _PRECISE in policy else DEFAULT


def source_of(policy: str) -> str:
    """The source of accesses that a policy has."""
    return policy.rpartition("-")[2]


def under_v7(candidate: Candidate) -> Candidate:
    """The same mode, source and settings under v7, which takes all that v8 takes."""
    if posting_of(candidate.policy) == V7.name:
        return candidate
    rest = candidate.policy.removeprefix(_OF_V8)
    return candidate._replace(policy=rest if rest.startswith(_PRECISE) else f"{_OF_V7}{rest}")


def config_text(candidate: Candidate) -> str:
    """A configuration file of `pghot run` with a candidate's settings."""
    lines = [
        f"# {candidate.words()}, by pghot advise",
        f'source = ["{source_of(candidate.policy)}"]',
        f'mode = "{layout_of(candidate.policy).name}"',
        f'fidelity = "{posting_of(candidate.policy)}"',
    ]
    if candidate.settings:
        lines += ["", "[tunables]"]
        lines += [f"{name} = {text}" for name, text in candidate.settings]
    return "\n".join(lines) + "\n"


def kernel_text(candidate: Candidate) -> str:
    """The writes to the files of a kernel with the series that set a candidate."""
    posting = posting_of(candidate.policy)
    bits = 1 if source_of(candidate.policy) == "hintfault" else 2
    settings = [("enabled_sources", f"{bits:#x}"), *candidate.settings]
    if bits & 1:  # no page is marked for a fault otherwise
        settings.insert(0, ("numa_balancing", "2"))
    lines = ["#!/bin/sh", f"# {candidate.words()}, by pghot advise", "set -e"]
    lines.append(f"# wants a kernel with {posting} of the series")
    if layout_of(candidate.policy) is PRECISE:
        lines.append("# wants a kernel with CONFIG_PGHOT_PRECISE=y")
    table = tunables_of(FIDELITIES[posting])
    for name, text in settings:
        where, _, below = table[name].where.partition(" ")
        if where == "debugfs":
            lines.append(f"echo {text} > /sys/kernel/debug/{below}{name}")
        else:
            lines.append(f"sysctl -w {below}{name}={text}")
    return "\n".join(lines) + "\n"


def _settings(policy: str, chosen: tuple[str | None, ...]) -> Settings:
    """The settings that a row of the grid is for a policy."""
    return tuple(
        (name, _in_range(policy, name, text))
        for name, text in zip(GRID, chosen, strict=True)
        if text
    )


def _in_range(policy: str, name: str, text: str) -> str:
    if posting_of(policy) == V7.name or name != WINDOW:
        return text
    least, most = v8_window_ms(layout_of(policy))
    return str(min(max(int(text), least), most))
