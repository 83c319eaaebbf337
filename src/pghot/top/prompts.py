"""Where a person types: the text of the filter, and a tunable's value in its place."""

from __future__ import annotations

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input


class FilterPrompt(Input):
    """A line at the bottom; the tables follow it letter by letter."""

    # Esc shows everything again; Tab and others do not go to a table from here.
    BINDINGS = [  # noqa: RUF012 - as Textual wants it
        Binding("escape", "give_up", show=False),
        Binding("tab,shift+tab", "keep", show=False),
    ]

    class Closed(Message):
        """The prompt was left."""

    def __init__(self) -> None:
        super().__init__(
            id="prompt",
            compact=True,
            select_on_focus=False,
            placeholder="filter: text that a row must have; Enter keeps it, Esc drops it",
        )

    def open(self) -> None:
        """Take the keys."""
        self.display = True
        self.focus()

    def action_keep(self) -> None:
        """Leave, with the filter as it is."""
        self.display = False
        self.post_message(self.Closed())

    def action_give_up(self) -> None:
        """Leave, without a filter."""
        self.value = ""
        self.action_keep()

    async def action_submit(self) -> None:
        """Leave, with the filter as it is."""
        self.action_keep()


class ValueField(Input):
    """A field over the cell of a tunable."""

    BINDINGS = [  # noqa: RUF012 - as Textual wants it
        Binding("escape,tab,shift+tab", "give_up", show=False)
    ]

    class Closed(Message):
        """The field was left; `text` is to be written, None where nothing is."""

        def __init__(self, name: str, text: str | None) -> None:
            super().__init__()
            self.name = name
            self.text = text

    def __init__(self) -> None:
        super().__init__(id="value", compact=True)
        self.tunable = ""

    def open(self, name: str, value: str, place: tuple[int, int, int]) -> None:
        """Edit a tunable's value at x, y and as wide as `place` says."""
        x, y, width = place
        self.tunable = name
        self.styles.offset = (x, y)
        self.styles.width = width
        self.value = value
        self.display = True
        self.focus()

    def action_give_up(self) -> None:
        """Leave the value as it is."""
        self._close(None)

    async def action_submit(self) -> None:
        """Ask for the value to be written."""
        self._close(self.value)

    def _close(self, text: str | None) -> None:
        self.display = False
        self.post_message(self.Closed(self.tunable, text))
