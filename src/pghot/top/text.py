"""One state as text for pipes and for screen readers (`pghot top --once`)."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pghot.top import lines, tables
from pghot.top.rates import Rates
from pghot.top.state import TopState

WIDTH = 80
ROWS = 20
"""Processes and regions that are printed."""


def as_text(state: TopState, rate: Rates) -> str:
    """Everything that the view shows, one part below the other."""
    return "\n".join(line.rstrip() for line in _lines(state, rate)) + "\n"


def _lines(state: TopState, rate: Rates) -> Iterator[str]:
    yield lines.title(state)
    if state.ended:
        yield state.ended
    for part in _parts(state, rate):
        yield ""
        yield from part.plain.splitlines()
    for table in tables.TABLES:
        order = tables.first_order(table)
        rows = table.shown(state, order)
        yield ""
        if not rows:
            yield f"{table.title}: {table.empty}"
            continue
        known = tables.known_columns(table, rows)
        yield "".join(tables.head(table.columns[at], at, order) for at in known)
        for row in rows[:ROWS]:
            yield "".join(tables.cell(table.columns[at], row.cells[at]) for at in known)
        if len(rows) > ROWS:
            yield f"and {len(rows) - ROWS} more"


def _parts(state: TopState, rate: Rates) -> tuple[Text, ...]:
    return lines.nodes(state, WIDTH), lines.rates(state, rate), lines.sources(state, rate)
