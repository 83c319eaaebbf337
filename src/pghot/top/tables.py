"""The lower part of the view: processes, regions and tunables as rows to sort and filter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pghot.engine.fidelity import FIDELITIES, V7
from pghot.engine.tunables import tunables_of
from pghot.report.sizes import size
from pghot.top import figures
from pghot.top.state import ProcessState, RegionState, TopState

UNITS = {"ms": "ms", "MBps": "MB/s"}
"""Units of tunables by the end of their names."""

HEX = {"enabled_sources"}

GAP = 2
"""Blanks between two columns; part of a column's width."""

WIDEST = 48
"""What a column of names grows to: further apart, a row is no row any more."""


class Column(NamedTuple):
    """A column: its head, its width, and whether its cells are numbers."""

    head: str
    width: int
    right: bool = False


class TableRow(NamedTuple):
    """A row: what it is of, its cells, and by what each cell sorts."""

    key: str
    cells: tuple[str, ...]
    ranks: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class TopTable:
    """A table: its name, its columns, its rows from a state, what it says without rows."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[TopState], list[TableRow]]
    empty: str
    sort: int = 0

    def shown(self, state: TopState, order: Order, filter_text: str = "") -> list[TableRow]:
        """The rows that match the filter, in order."""
        wanted = filter_text.casefold()
        rows = [row for row in self.rows(state) if wanted in " ".join(row.cells).casefold()]
        return sorted(rows, key=lambda row: row.ranks[order.column], reverse=order.down)


def known_columns(table: TopTable, rows: Sequence[TableRow]) -> list[int]:
    """The places of the columns that some row knows a value for; all where none has any."""
    places = range(len(table.columns))
    return [at for at in places if any(row.cells[at] != figures.UNKNOWN for row in rows)] or [
        *places
    ]


class Order(NamedTuple):
    """By which column a table is sorted, and whether from the largest down."""

    column: int
    down: bool


def first_order(table: TopTable) -> Order:
    """The order that a table starts with: numbers from the largest, names from A."""
    return Order(table.sort, table.columns[table.sort].right)


def next_order(table: TopTable, order: Order) -> Order:
    """The order by the next column."""
    column = (order.column + 1) % len(table.columns)
    return Order(column, table.columns[column].right)


def head(column: Column, place: int, order: Order) -> str:
    """A column's head, marked where the table is sorted by it."""
    mark = ("v" if order.down else "^") if place == order.column else ""
    parts = [mark, column.head] if column.right else [column.head, mark]
    return cell(column, " ".join(filter(None, parts)))


def cell(column: Column, text: str) -> str:
    """A cell as wide as its column and the gap after; what is cut ends in `>`."""
    width = column.width - GAP
    if len(text) > width:
        text = text[: width - 1] + ">"
    text = text.rjust(width) if column.right else text.ljust(width)
    return text + " " * GAP


def widened(columns: tuple[Column, ...], width: int) -> tuple[Column, ...]:
    """The columns as wide as there is room: what is over goes to the widest name."""
    names = [column for column in columns if not column.right]
    widest = max(names, key=lambda column: column.width)
    over = width - sum(column.width for column in columns)
    grown = widest._replace(width=min(widest.width + max(over, 0), WIDEST))
    return tuple(grown if column is widest else column for column in columns)


def _processes(state: TopState) -> list[TableRow]:
    return [_process(row) for row in state.processes]


def _process(row: ProcessState) -> TableRow:
    pid = figures.UNKNOWN if row.pid is None else str(row.pid)
    return TableRow(
        f"{row.pid} {row.name}",
        (
            pid,
            row.name or figures.UNKNOWN,
            figures.rate(row.per_s),
            figures.count(row.hot),
            figures.count(row.promoted),
        ),
        (_known(row.pid), row.name, row.per_s, _known(row.hot), _known(row.promoted)),
    )


def _regions(state: TopState) -> list[TableRow]:
    return [_region(row) for row in state.regions]


def _region(row: RegionState) -> TableRow:
    pid = figures.UNKNOWN if row.pid is None else str(row.pid)
    fast = figures.UNKNOWN
    if row.fast_pages is not None and row.pages:
        fast = f"{size(row.fast_pages)}, {row.fast_pages / row.pages:.0%}"
    return TableRow(
        f"{row.pid} {row.name}",
        (pid, row.name, figures.rate(row.per_s), figures.count(row.promoted), fast),
        (_known(row.pid), row.name, row.per_s, _known(row.promoted), _known(row.fast_pages)),
    )


def _tunables(state: TopState) -> list[TableRow]:
    rows, table = [], tunables_of(FIDELITIES.get(state.fidelity, V7))
    for place, (name, value) in enumerate(state.tunables.items()):
        shown = f"{value:#x}" if name in HEX else str(value)
        known = table.get(name)
        where = known.where if known else ""
        unit = UNITS.get(name.rpartition("_")[2], "")
        rows.append(TableRow(name, (name, shown, unit, where), (place, value, unit, where)))
    return rows


def _known(number: float | None) -> float:
    """Have what is not known sort below everything."""
    return -1 if number is None else number


PROCESSES = TopTable(
    "processes",
    "Processes",
    (
        Column("PID", 9),
        Column("Name", 25),
        Column("Accesses/s", 14, right=True),
        Column("Hot folios", 14, right=True),
        Column("Promoted", 14, right=True),
    ),
    _processes,
    "no process is known to have hot pages",
    sort=2,
)
REGIONS = TopTable(
    "regions",
    "Regions",
    (
        Column("PID", 9),
        Column("Region", 28),
        Column("Accesses/s", 14, right=True),
        Column("Promoted", 12, right=True),
        Column("Fast", 17, right=True),
    ),
    _regions,
    "no region has been accessed lately",
    sort=2,
)
TUNABLE_TABLE = TopTable(
    "tunables",
    "Tunables",
    (
        Column("Tunable", 40),
        Column("Value", 14, right=True),
        Column("Unit", 8),
        Column("Where", 17),
    ),
    _tunables,
    "it has no tunables",
    sort=0,
)
TABLES: Sequence[TopTable] = (PROCESSES, REGIONS, TUNABLE_TABLE)
