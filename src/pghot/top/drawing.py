"""The lines of the screen around the tables: title, names of the tables, keys."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from pghot.top import lines
from pghot.top.feed import Feed
from pghot.top.keys import FOOT
from pghot.top.state import TopState

NAME = "pghot top"


def title(state: TopState | None, feed: Feed, width: int, *, paused: bool) -> Text:
    """What is watched; at the right how fast, and whether it is paused."""
    right = " ".join(_marks(feed, paused))
    left = f"{NAME}  {'waiting for the first state' if state is None else lines.title(state)}"
    room = max(width - len(right) - 1, 1)
    if len(left) > room:
        left = left[: room - 1] + ">"
    return Text(f"{left.ljust(room)} {right}")


def _marks(feed: Feed, paused: bool) -> Iterable[str]:
    if feed.paced:
        yield f"speed {feed.speed:g}" if feed.speed else "full speed"
    if paused:
        yield "PAUSED"


def tabs(names: Iterable[str], chosen: str, note: str) -> Text:
    """Name the tables, the chosen one in brackets, and what there is to say of it."""
    text = Text()
    for name in names:
        text.append(f"[{name}] " if name == chosen else f" {name}  ", _bold(name == chosen))
    return text.append(f" {note}", "dim") if note else text


def foot() -> Text:
    """Name the keys that matter; a click does as the key."""
    text = Text()
    for key, does, action in FOOT:
        start = len(text)
        text.append(key, "bold").append(f" {does}")
        text.apply_meta({"@click": f"app.{action}"}, start)
        text.append("  ")
    return text


def _bold(bold: bool) -> str:
    return "bold" if bold else ""
