"""Whether promotion paid, in sentences, from what a result says of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MS = 1e3


def verdict_lines(time: Mapping[str, Any]) -> list[str]:
    """The verdict, and what it rests on; `time` is as in summary.json."""
    if why := time.get("why"):
        return [f"Promotion: {time['verdict']} ({why})."]
    low, high = time["saved_s"]
    said = f"Promotion {_verb(time['verdict'])} against {time['against']}: "
    if run_s := time.get("run_s"):
        base, own = map(seconds, run_s)
        return [f"{said}{own} of run time instead of {base} (error: {time['error']})."]
    said += f"{_interval(low, high)} of memory time in {time['span_s']:,.1f} s, "
    return [f"{said}moves paid for ({seconds(time['moves_s'])}).", *basis_lines(time)]


def basis_lines(time: Mapping[str, Any]) -> list[str]:
    """The prices that a verdict rests on, and what it leaves out, if there are any."""
    prices = time.get("prices")
    if not prices:
        return []
    rows = time["accesses_a_row"]
    row = "a row for one access or more" if rows is None else f"a row for {rows:g}"
    said = (
        f"Prices: {prices['fast_ns']:.0f} ns a fast access, {prices['slow_ns']:.0f} ns a slow one "
        f"({prices['latency_source']}); {prices['page_us']:.1f} us a page moved "
        f"({prices['move_source']}); {row}."
    )
    return [said, f"Not in it: {'; '.join(time['not_in_it'])}."]


def seconds(value: float) -> str:
    """Write a time, small ones in milliseconds or microseconds."""
    size = abs(value)
    if size >= 1:
        return f"{value:,.2f} s"
    if size >= 1 / MS:
        return f"{value * MS:.1f} ms"
    return f"{value * MS * MS:.0f} us"


def _verb(verdict: str) -> str:
    return {"pays": "pays", "does not pay": "does not pay"}.get(verdict, "cannot be told to pay")


def _interval(low: float | None, high: float | None) -> str:
    if low is not None and low > 0:
        return f"it saves {_range(low, high)}"
    if high is not None and high < 0:
        return f"it costs {_range(-high, None if low is None else -low)}"
    least = "an unknown loss" if low is None else f"a loss of {seconds(abs(low))}"
    most = "an unknown gain" if high is None else f"a gain of {seconds(high)}"
    return f"between {least} and {most}"


def _range(least: float, most: float | None) -> str:
    if most is None:
        return f"{seconds(least)} or more"
    if seconds(least) == seconds(most):
        return seconds(least)
    return f"{seconds(least)} to {seconds(most)}"
