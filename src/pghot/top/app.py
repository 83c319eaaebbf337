"""The view itself: takes states from a feed, shows them, and does what keys ask for."""

from __future__ import annotations

from errno import errorcode
from typing import ClassVar

from rich.text import Text
from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from pghot.errors import PghotError
from pghot.top import drawing, lines, tables
from pghot.top.feed import Feed
from pghot.top.help import Help
from pghot.top.keys import KEYS
from pghot.top.panel import Panel
from pghot.top.prompts import FilterPrompt, ValueField
from pghot.top.rates import Rates, rates_between, same_run
from pghot.top.state import TopState

WAIT_S = 0.2
"""How long the thread that waits for states may be behind the end of the view."""

TALL, WIDE = 36, 110
"""Rows from which on all tables are shown, columns from which on sizes are."""

MOST_NODES = (5, 12)
"""Lines for nodes in a low and in a tall terminal."""

LEAST_S = 0.4
"""Seconds that rates are over at the least."""

FASTEST, SLOWEST = 1024.0, 1 / 16


class Came(Message):
    """A state came, or what the feed says of itself has changed."""

    def __init__(self, state: TopState | None, said: str) -> None:
        super().__init__()
        self.state = state
        self.said = said


class TopApp(App[None]):
    """`pghot top`.  `error` is what ended it, where that was an error of the feed."""

    CSS_PATH = "top.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [
        Binding(key.keys, key.action, key.does, show=False) for key in KEYS if key.keys
    ]

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own colours, whichever they are
        self.animation_level = "none"
        self.title = drawing.NAME
        self.error: Exception | None = None
        self._feed = feed
        self._state: TopState | None = None
        self._newest: TopState | None = None
        self._since: TopState | None = None
        self._rates = Rates()
        self._paused = False
        self._said = ""
        self._answer = ""

    def compose(self) -> ComposeResult:
        """Lay out the screen from top to bottom."""
        yield Static(id="title", markup=False)
        yield Static(id="nodes")
        with Horizontal(id="flow"):
            yield Static(id="rates")
            yield Static(id="sources")
        yield Static(id="tabs")
        self._panels = [Panel(table) for table in tables.TABLES]
        self._chosen = self._panels[0]
        yield from self._panels
        yield Static(id="said", markup=False)
        self._prompt = FilterPrompt()
        yield self._prompt
        yield Static(drawing.foot(), id="foot")
        self._field = ValueField()
        yield self._field

    def on_mount(self) -> None:
        """Begin to wait for states."""
        self._choose(self._chosen)
        self._draw()
        self._follow()

    # States, and what is seen of them.

    @work(thread=True)
    def _follow(self) -> None:
        """Wait for states, in a thread of its own."""
        said, going_on = "", True
        while self.is_running and going_on:
            try:
                state = self._feed.next_state(WAIT_S)
            except Exception as error:  # noqa: BLE001 - the command line says it, or it is a bug
                self.error = error
                self.call_from_thread(self.exit)
                return
            going_on = state is not None or not self._feed.over
            if state is not None or self._feed.said != said:
                said = self._feed.said
                self.post_message(Came(state, said))

    @on(Came)
    def _take(self, came: Came) -> None:
        self._said = came.said
        if came.state is not None:
            self._newest = came.state
            # A time that stands still gives a state only where a step was asked for.
            if not self._paused or self._feed.paced:
                self._see_newest()
        self._draw()

    def _see_newest(self) -> None:
        state = self._newest
        if state is None or state is self._state:
            return
        if self._state is None:
            filled = [panel for panel in self._panels if panel.table.rows(state)]
            self._choose((filled or self._panels)[0])
        # A write has a state of its own: rates of an instant would say nothing.
        before = self._state
        if before is None or not same_run(before, state) or state.time_s - before.time_s > LEAST_S:
            self._since = before
        self._rates = rates_between(self._since, state)
        self._state = state

    def _draw(self) -> None:
        state, width = self._state, self.size.width
        self._put("title", drawing.title(state, self._feed, width, paused=self._paused))
        self._put("said", Text(self._message()))
        if state is None:
            return
        self._put("nodes", lines.nodes(state, width, MOST_NODES[self.size.height >= TALL]))
        self._put("rates", lines.rates(state, self._rates, wide=width >= WIDE))
        self._put("sources", lines.sources(state, self._rates))
        for panel in self._panels:
            panel.show(state)
        self._draw_tabs()

    def _message(self) -> str:
        """Show the answer to the last key, else what is to be known of the feed."""
        ended = self._state.ended if self._state else ""
        last = f"{ended}; this is its last state" if ended else ""
        return self._answer or "; ".join(filter(None, [last, self._said]))

    def _draw_tabs(self) -> None:
        names = [panel.table.title for panel in self._panels]
        chosen = self._chosen
        self._put("tabs", drawing.tabs(names, chosen.table.title, chosen.note))

    def _put(self, name: str, text: Text) -> None:
        # Where a help screen lies above, what is below goes on.
        self.screen_stack[0].query_one(f"#{name}", Static).update(text)

    def _choose(self, panel: Panel) -> None:
        self._chosen = panel
        self._arrange()
        panel.focus()

    def _arrange(self) -> None:
        """Show all tables where there is room, else the chosen one."""
        below = self.screen_stack[0]
        tall = self.size.height >= TALL
        below.set_class(tall, "tall")
        below.set_class(self.size.width >= WIDE, "wide")
        for panel in self._panels:
            panel.display = tall or panel is self._chosen
        self._draw_tabs()

    def on_resize(self, _event: events.Resize) -> None:
        """Use the room there is."""
        self._arrange()
        self._draw()

    def _say(self, line: str) -> None:
        self._answer = line
        self._draw()

    # What keys do.

    def action_help(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_table(self, by: int) -> None:
        """Go to another table."""
        at = self._panels.index(self._chosen)
        self._choose(self._panels[(at + by) % len(self._panels)])

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._chosen.set_order(tables.next_order(self._chosen.table, self._chosen.order))

    def action_invert(self) -> None:
        """Sort the other way round."""
        order = self._chosen.order
        self._chosen.set_order(order._replace(down=not order.down))

    def action_pause(self) -> None:
        """Pause, or go on."""
        self._paused = not self._paused
        self._feed.hold(self._paused)
        if not self._paused:
            self._see_newest()
        self._say("")

    def action_refresh(self) -> None:
        """Show what is newest; of a time that stands still, one step more."""
        if self._paused and self._feed.paced:
            self._feed.step()
        self._see_newest()
        self._say("")

    def action_faster(self) -> None:
        """Double the speed."""
        self._change_speed(2.0)

    def action_slower(self) -> None:
        """Halve the speed."""
        self._change_speed(0.5)

    def _change_speed(self, factor: float) -> None:
        if not self._feed.paced:
            self._say("a run goes at its own speed")
            return
        speed = (self._feed.speed or FASTEST) * factor
        self._feed.set_speed(min(max(speed, SLOWEST), FASTEST))
        self._say("")

    def action_leave(self) -> None:
        """Show all rows again, and no message."""
        self._prompt.value = ""
        self._say("")

    def action_filter(self) -> None:
        """Ask for the text that rows must have."""
        self.query_one("#said").display = False
        self._prompt.open()

    @on(FilterPrompt.Changed, "#prompt")
    def _filter(self) -> None:
        for panel in self._panels:
            panel.set_filter(self._prompt.value)
        self._draw_tabs()

    @on(FilterPrompt.Closed)
    def _filter_closed(self) -> None:
        self.query_one("#said").display = True
        self._chosen.focus()

    def action_edit(self) -> None:
        """Edit the chosen tunable where it stands."""
        tunables = next(panel for panel in self._panels if panel.table is tables.TUNABLE_TABLE)
        if self._chosen is not tunables:
            self._choose(tunables)
            self._say("choose a tunable with Up and Down; e or Enter edits it")
        elif tunables.chosen is None:
            self._say(tunables.table.empty)
        else:
            self._say("Enter writes the value, Esc leaves it as it is")
            self._field.open(tunables.chosen, tunables.value, tunables.cell_place)

    @on(ValueField.Closed)
    def _field_closed(self, closed: ValueField.Closed) -> None:
        self._chosen.focus()
        if closed.text is None:
            self._say("")
        else:
            self._say(f"{closed.name}: being written")
            self._write(closed.name, closed.text)

    @work(thread=True)
    def _write(self, name: str, text: str) -> None:
        """Write in a thread: a run may take its time to answer."""
        try:
            self._feed.write(name, text)
        except (PghotError, ValueError) as error:
            answer = refusal(error)
        else:
            answer = f"{name}: wrote {text.strip()}"
        self.call_from_thread(self._say, answer)


def refusal(error: Exception) -> str:
    """Why a write was refused, in a line that opens with the kernel's name for it."""
    name = errorcode.get(getattr(error, "errno", 0) or 0, "")
    line = " ".join(str(error).split())
    return f"{name}: {line.removesuffix(f' ({name})')}" if name else line
