"""What advice is on: a log, simulated at its own pace, or a scenario."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pghot.engine.sizes import parse_size
from pghot.engine.units import PAGE_SHIFT
from pghot.exploring.curve import curve
from pghot.exploring.curve_result import Curve
from pghot.exploring.fast_node import footprint_of_scenario, scenario_with
from pghot.exploring.log_scenario import SLACK_PAGES, LogExtent, scenario_of_log
from pghot.exploring.scopes import BY
from pghot.exploring.tally import BOUND
from pghot.log.machine import Machine
from pghot.log.read import open_log
from pghot.log.regions import regions_of
from pghot.replaying.replay import machine_of
from pghot.results.prices import Prices, prices_on
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled
from pghot.simulated.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Case:
    """A log or a scenario (`kind`), of `footprint` pages.

    `at` gives the scenario with fast memory of so many pages; `own` is the size that it has.
    `train_seed`, `test_seed`: of scenarios; a log is trained on its first half and judged by
    its second.  `accesses_a_row` None: nobody knows.
    """

    name: str
    kind: str
    footprint: int
    at: Callable[[int], Scenario]
    prices: Prices
    rows: int = 0
    span_us: int = 0
    faults: int = 0
    accesses_a_row: float | None = None
    own: int | None = None
    curve: Curve | None = None
    train_seed: int | None = None
    test_seed: int | None = None

    def choose(self, target: float, asked: int | None) -> int:
        """The size to look at: as asked, the scenario's own, or what the bound needs."""
        if asked is not None:
            return asked
        if self.curve is None:
            return self.own or self.footprint
        return self.curve.whole.needed(BOUND, target) or self.footprint


def case_of_log(
    path: Path,
    machine: Machine | Path | str | None,
    latency_ns: tuple[float, float] | None,
) -> Case:
    """Go through a log; InputError where it cannot be used."""
    with open_log(path) as log:
        named = set(BY["region"]) <= set(log.columns) and bool(regions_of(log.metadata))
    found = curve(path, machine, by="region" if named else None)
    with open_log(path) as log:
        metadata = log.metadata
        known = None
        if machine is not None or (metadata is not None and metadata.machine):
            known = machine_of(log, machine)
    prices = prices_on(known)
    if latency_ns is not None:
        fast, slow = latency_ns
        prices = replace(prices, fast_ns=fast, slow_ns=slow, latency_source="as given")
    most = found.whole.pages + SLACK_PAGES  # beyond, more changes nothing but what it takes here
    facts = LogExtent(path, found.whole.accesses, found.whole.pages, found.span_us)
    return Case(
        name=str(path),
        kind="log",
        footprint=found.whole.pages,
        at=lambda pages: scenario_of_log(facts, min(pages, most), prices),
        prices=prices,
        rows=found.whole.accesses,
        span_us=found.span_us,
        faults=found.faults,
        accesses_a_row=metadata.accesses_a_row if metadata else None,
        curve=found,
    )


def case_of_scenario(name: str, scale: float) -> Case:
    """Load a scenario; InputError where it is none."""
    scenario = scaled(load_scenario(name, POLICIES), scale)
    return Case(
        name=name,
        kind="scenario",
        footprint=footprint_of_scenario(scenario).pages,
        at=lambda pages: scenario_with(scenario, pages),
        prices=Prices(latency_source="the scenario's links"),
        own=fast_pages_of(scenario),
        train_seed=scenario.seed,
        test_seed=scenario.seed + 1,
    )


def fast_pages_of(scenario: Scenario) -> int:
    """The pages of the top-tier nodes."""
    return sum(parse_size(node.size) for node in scenario.node if node.toptier) >> PAGE_SHIFT
