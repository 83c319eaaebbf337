"""A table on the screen: rows of a state, sorted and filtered, with a row that is chosen."""

from __future__ import annotations

from rich.text import Text
from textual.binding import Binding
from textual.coordinate import Coordinate
from textual.widgets import DataTable

from pghot.top import tables
from pghot.top.state import TopState
from pghot.top.tables import Order, TableRow, TopTable


class Panel(DataTable[Text]):
    """Keeps a row that was chosen by what it is of, not by where it is."""

    # What these keys do is the app's affair: they go from table to table.
    BINDINGS = [  # noqa: RUF012 - as Textual wants it
        Binding("tab", "app.table(1)", show=False),
        Binding("shift+tab", "app.table(-1)", show=False),
        Binding("left", "app.table(-1)", show=False),
        Binding("right", "app.table(1)", show=False),
        Binding("enter", "app.edit", show=False),
    ]

    def __init__(self, table: TopTable) -> None:
        super().__init__(
            id=table.name,
            cursor_type="row",
            cell_padding=0,
            show_row_labels=False,
            cursor_foreground_priority="css",
        )
        self.table = table
        self.order: Order = tables.first_order(table)
        self.wanted = ""
        self._state: TopState | None = None
        self._rows: list[TableRow] = []
        self._columns = table.columns
        self._known = [*range(len(table.columns))]
        self.note = ""
        """What there is to say of the rows shown."""

    def on_mount(self) -> None:
        """Make the columns."""
        self.border_title = self.table.title
        self._make_columns()

    def on_resize(self) -> None:
        """The room there is to the names."""
        fitting = tables.widened(self.table.columns, self.size.width)
        if fitting != self._columns:
            self._columns = fitting
            self.set_order(self.order)

    def show(self, state: TopState) -> None:
        """Show the rows of a state."""
        self._state = state
        # Who has chosen no row sees the first one, whichever that is by now.
        chosen = self.chosen if self.cursor_row else None
        rows = self.table.shown(state, self.order, self.wanted)
        scroll = self.scroll_y
        self._rows = rows
        known = tables.known_columns(self.table, rows)
        self.clear(columns=known != self._known)
        if known != self._known:
            self._known = known
            self._make_columns()
        for row in rows:
            cells = (_cell(self._columns[at], row.cells[at]) for at in known)
            self.add_row(*cells, key=row.key)
        place = next((at for at, row in enumerate(rows) if row.key == chosen), 0)
        self.cursor_coordinate = Coordinate(place, 0)
        self.scroll_to(y=scroll, animate=False)
        self.show_cursor = bool(rows) and self.has_focus
        self.set_class(not self.table.rows(state), "empty")
        self.note = self._note(state)
        self.border_title = f"{self.table.title}: {self.note}" if self.note else self.table.title

    def set_order(self, order: Order) -> None:
        """Sort otherwise."""
        self.order = order
        self.clear(columns=True)
        self._make_columns()
        self._again()

    def set_filter(self, text: str) -> None:
        """Show only the rows that have this text."""
        self.wanted = text
        self._again()

    @property
    def cell_place(self) -> tuple[int, int, int]:
        """Where the chosen row's second cell is on the screen: x, y, width."""
        first, second, *_ = self._columns
        row = self.cursor_row - int(self.scroll_y) + self.header_height
        return (
            self.content_region.x + first.width,
            self.content_region.y + row,
            second.width - tables.GAP,
        )

    @property
    def chosen(self) -> str | None:
        """The key of the chosen row; None where there is none."""
        at = self.cursor_row
        return self._rows[at].key if 0 <= at < len(self._rows) else None

    @property
    def value(self) -> str:
        """The second cell of the chosen row; empty where there is none."""
        at = self.cursor_row
        return self._rows[at].cells[1] if 0 <= at < len(self._rows) else ""

    def on_focus(self) -> None:
        """Show which row is chosen."""
        self.show_cursor = bool(self._rows)

    def on_blur(self) -> None:
        """Show no chosen row where keys go elsewhere."""
        self.show_cursor = False

    def _again(self) -> None:
        if self._state is not None:
            self.show(self._state)

    def _note(self, state: TopState) -> str:
        if self._rows:
            return f"filter: {self.wanted}" if self.wanted else ""
        if self.wanted and self.table.rows(state):
            return f"no row has {self.wanted}"
        return self.table.empty

    def _make_columns(self) -> None:
        for at in self._known:
            column = self._columns[at]
            text = Text(tables.head(column, at, self.order), style="bold")
            self.add_column(text, width=column.width, key=column.head)


def _cell(column: tables.Column, text: str) -> Text:
    return Text(tables.cell(column, text))
