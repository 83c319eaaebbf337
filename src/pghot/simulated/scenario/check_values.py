"""Values of a scenario that other modules read: tunables, costs, streams, the scanner's pace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import V7, V8
from pghot.engine.layout import PRECISE
from pghot.engine.memory import Node
from pghot.engine.tunables import Tunables
from pghot.engine.units import PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.simulated.machine.costs import with_costs
from pghot.simulated.numa.scan_period import ScanTunables
from pghot.simulated.scenario.scenario import ScannerTable, Scenario
from pghot.workloads.stream_kinds import parse


def check_tunables(scenario: Scenario, written: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    """Refuse what no policy's kernel would take; each policy's own refuses more at its start.

    v7 refuses least, but v8 reads more texts as numbers.

    `written`: where in the file, and the values by name.  All nodes count as online.
    """
    nodes = [
        Node(node.id, place * PAGES_PER_SECTION, PAGES_PER_SECTION, node.toptier)
        for place, node in enumerate(scenario.node)
    ]
    memory = ArrayMemory(nodes)
    v7, v8 = (
        Tunables(memory, PRECISE, scenario.hz, fidelity, tiering=scenario.tiering)
        for fidelity in (V7, V8)
    )
    for where, values in written:
        for name, text in values.items():
            try:
                v7.write(name, text)
            except TunableError as error:
                with suppress(TunableError):
                    v8.write(name, text)
                    continue
                raise ValueError(f"{where}.{error}") from error


def check_costs(costs: dict[str, float]) -> None:
    """Refuse a cost that is none, or cannot be."""
    try:
        with_costs(costs)
    except InputError as error:
        raise ValueError(f"costs: {error}") from error


def check_scanner(table: ScannerTable) -> None:
    """Refuse a pace that is none."""
    try:
        ScanTunables(**msgspec.structs.asdict(table))
    except InputError as error:
        raise ValueError(f"scanner: {error}") from error


def check_stream(where: str, stream: Mapping[str, Any]) -> None:
    """Refuse a stream whose kind or options are none."""
    options = dict(stream)
    kind = options.pop("kind", "uniform")
    try:
        parse(kind, options)
    except InputError as error:
        raise ValueError(f"{where}: {error}") from error
