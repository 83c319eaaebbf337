"""What the result of a policy says of itself, by the names that a replay's has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pghot.baselines.shares import Share
from pghot.engine.sizes import parse_size
from pghot.engine.units import PAGE_SHIFT
from pghot.results.provenance import LogFacts, Made, machine_facts, node_facts, outcome, provenance
from pghot.results.verdict import run_time_verdict, untold
from pghot.simulated.result import Outcome
from pghot.simulated.scenario.scenario import Scenario

BASE = "none"
"""The policy that run times are held against: nothing promoted."""

_BASELINES = {"as_placed": BASE, "interleave": "interleave", "bound": "oracle"}


def policy_facts(
    made: Made | None,
    name: str,
    scenario: Scenario,
    result: Outcome,
    others: Sequence[Outcome],
    *,
    log: LogFacts | None = None,
) -> dict[str, Any]:
    """Where the result of a policy comes from, and what came of it beside the `others`."""
    by_policy = {other.policy: other for other in others}
    engine = result.binned if result.binned and result.binned.tunables else None
    start = start_of(scenario)
    facts = provenance(
        made,
        "simulation",
        fidelity=engine.fidelity if engine else None,
        log=log,
        machine=machine_facts(name, _nodes(scenario)),
        start=start,
    )
    return {
        **facts,
        "mode": _mode(result) if engine else None,
        "tunables": dict(engine.tunables) if engine else {},
        **outcome(
            share_of(result),
            _baselines(by_policy, start),
            promoted_pages=result.promoted,
            demoted_pages=result.demoted,
            refused=result.refused,
            time=_time(result, by_policy.get(BASE)),
        ),
    }


def start_of(scenario: Scenario) -> str:
    """Where a scenario's memory is at first, in a replay's words.

    Its regions' `place` says it: the top tier as far as it has room, or a lower one; `mixed`
    where regions differ.
    """
    tops = {node.id for node in scenario.node if node.toptier}
    starts = {
        "interleave" if region.interleave
        else "first-touch" if region.place[0] in tops and not tops.issuperset(region.place)
        else "fast" if region.place[0] in tops
        else "slow"
        for region in scenario.region
    }  # fmt: skip
    return starts.pop() if len(starts) == 1 else "mixed"


def share_of(result: Outcome) -> Share:
    """The share of accesses that the top tier served, in all and in the second half."""
    timeline = result.timeline
    late = timeline.time_s > result.run_s / 2
    accesses = float(timeline.accesses[late].sum())
    steady = float(timeline.fast_accesses[late].sum()) / accesses if accesses else None
    return Share(result.fast_share if result.accesses else None, steady)


def _baselines(by_policy: Mapping[str, Outcome], start: str) -> dict[str, Share]:
    known = {
        name: share_of(by_policy[policy])
        for name, policy in _BASELINES.items()
        if policy in by_policy
    }
    if start == "first-touch" and "as_placed" in known:
        known["first_touch"] = known["as_placed"]
    return known


def _time(result: Outcome, base: Outcome | None) -> dict[str, Any]:
    if base is None:
        return untold(f"the policy {BASE} did not run")
    if base is result:
        return untold("it is what the others are held against")
    return verdict_against(base, result)


def verdict_against(base: Outcome, result: Outcome) -> dict[str, Any]:
    """Hold run times against each other; where a log sets the pace, the time of its threads."""
    against = f"the policy {BASE}"
    if result.late_s is None:
        return run_time_verdict(base.run_s, result.run_s, against)
    return run_time_verdict(base.busy_s, result.busy_s, against)


def _mode(result: Outcome) -> str:
    return "precise" if result.policy.startswith("precise") else "default"


def _nodes(scenario: Scenario) -> list[dict[str, Any]]:
    """The nodes, all of whose pages are free before anything is allocated."""
    sizes = [parse_size(node.size) >> PAGE_SHIFT for node in scenario.node]
    return [
        node_facts(node.id, pages, pages, toptier=node.toptier)
        for node, pages in zip(scenario.node, sizes, strict=True)
    ]
