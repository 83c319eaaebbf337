"""A matrix of runs: inputs x sizes x policies x settings x seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from pghot.engine.did_you_mean import perhaps
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import DEFAULT, LAYOUTS
from pghot.engine.tunables import TUNABLES
from pghot.errors import InputError
from pghot.exploring.sizes import FastSize, parse_fast
from pghot.replaying.start import LOGGED, STARTS
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import presets
from pghot.simulated.scenario.settings import check_setting
from pghot.tables import convert_tables, read_toml

MOST_POINTS = 1_000_000

ENGINES = {
    fidelity if layout == DEFAULT.name else f"{fidelity}-{layout}": (fidelity, layout)
    for fidelity in FIDELITIES
    for layout in LAYOUTS
}
"""What a log can be replayed with: a fidelity and a record layout, by their common name."""

_Seed = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run: every combination of what the lists hold.

    `inputs`: access logs, scenario files, presets.  `fast`: sizes of fast memory, as `8G` or
    `25%` of what is touched; none leaves the machine as it is.  `policy`: of a log `v7`,
    `v7-precise`, `improved` and so on, of a scenario what `pghot sim --list` shows; none is
    `v7`, or the scenario's own.  `set`: values of tunables, or of a scenario's settings, by
    name.  `seed`, `scale` are of scenarios, `machine`, `skip_bad` and `start`
    (where pages are before the first access) of logs.
    """

    inputs: Annotated[list[str], msgspec.Meta(min_length=1)]
    fast: list[str] = []
    policy: list[str] = []
    set: dict[str, list[Any]] = {}
    seed: list[_Seed] = []
    scale: float = 1.0
    machine: str | None = None
    skip_bad: bool = False
    start: str = LOGGED

    @classmethod
    def load(cls, path: Path | str) -> Grid:
        """Read a grid from a TOML file with these keys; InputError where it is none."""
        return cls.from_dict(read_toml(path), str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], name: str = "grid") -> Grid:
        """Check plain data; a single value stands for a list of it."""
        table = dict(data)
        for key in ("inputs", "fast", "policy", "seed"):
            if key in table and not isinstance(table[key], list):
                table[key] = [table[key]]
        if isinstance(table.get("set"), dict):
            table["set"] = {
                key: value if isinstance(value, list) else [value]
                for key, value in table["set"].items()
            }
        grid = convert_tables(table, cls, name)
        if grid.start not in STARTS:
            near = perhaps(grid.start, STARTS)
            raise InputError(
                f"{name}: start {grid.start}: no such start; {near}there are {', '.join(STARTS)}"
            )
        return grid


class Point(NamedTuple):
    """One run: its `number` in the grid, and how it differs from the others.

    `settings` are pairs of name and text.
    """

    number: int
    input: str
    policy: str
    fast: FastSize | None
    settings: tuple[tuple[str, str], ...]
    seed: int | None


def is_scenario(name: str) -> bool:
    """A scenario, a preset or a TOML file, from a log."""
    return name in presets() or name.endswith(".toml")


def points_of(grid: Grid, policies_of: Mapping[str, Sequence[str]]) -> list[Point]:
    """Every point; `policies_of` each input are those that run where none is named.

    InputError for a policy, a setting or a size that there is none of.
    """
    sizes: list[FastSize | None] = [*map(parse_fast, grid.fast)] or [None]
    names = list(grid.set)
    values = [[_text(name, value) for value in grid.set[name]] for name in names]
    points: list[Point] = []
    for name in grid.inputs:
        scenario = is_scenario(name)
        _check_names(name, grid, scenario=scenario)
        policies = grid.policy or policies_of[name]
        seeds: list[int | None] = [*grid.seed] if scenario and grid.seed else [None]
        for size, policy, chosen, seed in product(sizes, policies, product(*values), seeds):
            settings = tuple(zip(names, chosen, strict=True))
            points.append(Point(len(points), name, policy, size, settings, seed))
            if len(points) > MOST_POINTS:
                raise InputError(f"a grid of over {MOST_POINTS:,} points; take fewer values")
    if not points:
        raise InputError("the grid has no point: a setting has no value")
    return points


def _check_names(name: str, grid: Grid, *, scenario: bool) -> None:
    known = POLICIES if scenario else ENGINES
    for policy in grid.policy:
        if policy not in known:
            near = perhaps(policy, known)
            raise InputError(f"{name}: no policy {policy}; {near}there are {', '.join(known)}")
    for setting in grid.set:
        if scenario:
            check_setting(setting)
        elif setting not in TUNABLES:
            near = perhaps(setting, TUNABLES)
            raise InputError(
                f"set {setting}: no such tunable; {near}there are {', '.join(TUNABLES)}"
            )


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"set {name}: {value!r} is neither a number nor text")
    return str(value)
