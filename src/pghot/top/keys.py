"""The keys of the view: what they do, and what the help screen says of them."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """Keys that do one thing: as the screen has them, as a person writes them, what they do."""

    keys: str
    action: str
    shown: str
    does: str


KEYS = (
    Key("q,f10,ctrl+c", "quit", "q F10", "quit"),
    Key("h,question_mark,f1", "help", "h ? F1", "this help"),
    Key("tab,right", "table(1)", "Tab Right", "next table: processes, regions, tunables"),
    Key("shift+tab,left", "table(-1)", "Left", "table before"),
    Key("", "", "Up Down", "choose a row; PgUp PgDn Home End too"),
    Key("slash,f4", "filter", "/ F4", "show only rows with a text; Esc shows all again"),
    Key("s,f6,greater_than_sign", "sort", "s F6 >", "sort by the next column"),
    Key("I", "invert", "I", "sort the other way round"),
    Key("p", "pause", "p", "pause or go on; a replay's or simulation's time stops too"),
    Key("space", "refresh", "Space", "show what is newest now; while paused, one step"),
    Key("e,enter", "edit", "e Enter", "edit the tunable in place; Enter writes, Esc does not"),
    Key("plus,equals_sign", "faster", "+", "replay or simulate twice as fast"),
    Key("minus", "slower", "-", "half as fast"),
    Key("escape", "leave", "Esc", "leave the filter, an edit, this help"),
)

FOOT = (
    ("F1", "Help", "help"),
    ("/", "Filter", "filter"),
    ("s", "Sort", "sort"),
    ("p", "Pause", "pause"),
    ("e", "Edit", "edit"),
    ("Tab", "Next", "table(1)"),
    ("q", "Quit", "quit"),
)
"""Keys that the last line names, and what a click on them does."""


def help_lines() -> list[str]:
    """A line a key."""
    return [f"{key.shown:<11}{key.does}" for key in KEYS]
