"""Numbers as the live view writes them: short, aligned, and nothing where nothing is known."""

from __future__ import annotations

from pghot.top.state import NodeState

UNKNOWN = "-"
BAR_WIDTH = 20
_SHORT = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(number: int | None) -> str:
    """A count: whole up to 9,999,999, then with three digits and a letter."""
    if number is None:
        return UNKNOWN
    return f"{number:,}" if abs(number) < 10_000_000 else _short(number)


def rate(number: float | None) -> str:
    """A figure a second: one place after the point where it is small."""
    if number is None:
        return UNKNOWN
    if number >= 10_000_000:
        return _short(number)
    return f"{number:,.1f}" if 0 < number < 10 else f"{number:,.0f}"


def milliseconds(number: float) -> str:
    """A duration in ms."""
    return (
        f"{number:,.2f}" if number < 10 else f"{number:,.1f}" if number < 100 else f"{number:,.0f}"
    )


def printable(name: str) -> str:
    """A name as a terminal can take it: a process may call itself what it likes."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def filled(node: NodeState) -> float:
    """The share of a node that is in use."""
    return 1 - node.free / node.pages if node.pages else 0.0


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """A bar between brackets: as htop has it, so that no colour is needed to read it."""
    inner = round(min(max(share, 0.0), 1.0) * width)
    return f"[{'|' * inner}{' ' * (width - inner)}]"


def clock(seconds: float) -> str:
    """A time since the start."""
    if seconds < 600:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _short(number: float) -> str:
    for unit, letter in _SHORT:
        if abs(number) >= unit:
            return f"{number / unit:.3g}{letter}"
    return f"{number:.0f}"
