"""A curve as tables that a person reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.exploring.curve_result import Curve, Scope
from pghot.exploring.price import Price
from pghot.exploring.sizes import FastSize
from pghot.exploring.tally import BOUND, BY_LATENCY, FIRST_TOUCH, INTERLEAVE, LRU, STEADY, WHOLE
from pghot.report.sizes import size

SHOWN = (1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
"""Percents of the footprint that are shown."""

_HEADS = {
    BOUND: "hottest\nthat fit",
    BY_LATENCY: "the same\nby latency",
    LRU: "LRU",
    FIRST_TOUCH: "first\ntouch",
    INTERLEAVE: "inter-\nleave",
}
_PARTS = {WHOLE: "", STEADY: ", second half of the log"}


def print_curve(curve: Curve, asked: Sequence[FastSize] = ()) -> None:
    """Print the curves to stdout; rows of sizes that were asked for are bold."""
    console = Console(highlight=False, soft_wrap=False)
    name = curve.log.encode(errors="replace").decode()  # a file's name need not be text
    console.print(
        f"[bold]{escape(name)}[/bold]: {curve.whole.accesses:,} accesses to "
        f"{curve.whole.pages:,} pages ({size(curve.whole.pages)})",
        soft_wrap=True,
    )
    if curve.taken_by:
        console.print(f"the log was taken by {escape(curve.taken_by)}", soft_wrap=True)
    for part, words in _PARTS.items():
        console.print(f"Accesses served fast{words}:")
        console.print(_table(curve.whole, asked, curve.price, part))
    for scope in curve.scopes:
        console.print(
            f"[bold]{escape(scope.name)}[/bold]: {scope.accesses:,} accesses to "
            f"{scope.pages:,} pages ({size(scope.pages)})",
            soft_wrap=True,
        )
        console.print(_table(scope, (), curve.price, WHOLE))
    console.print(_knee(curve.whole), soft_wrap=True)
    for note in curve.notes:
        console.print(escape(f"note: {note}"), soft_wrap=True)


def _table(scope: Scope, asked: Sequence[FastSize], price: Price | None, part: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("fast memory", justify="right", no_wrap=True)
    table.add_column("of what\nis touched", justify="right", no_wrap=True)
    heads = _heads(scope, part)
    for head in heads.values():
        table.add_column(head, justify="right", no_wrap=True)
    if price:
        table.add_column("cost", justify="right", no_wrap=True)
    wanted = {fast.of(scope.pages) for fast in asked}
    bend = scope.knee() if part == WHOLE else None
    if bend is not None:
        table.add_column("", no_wrap=True)
    for pages in _shown(scope, wanted):
        cells = [size(pages), f"{pages / scope.pages:.0%}"]
        cells += [_cell(scope, line, pages, part) for line in heads]
        if price:
            cells.append(f"{price.cost(np.array([pages]), scope.pages)[0]:,.4g}")
        style = "bold" if pages in wanted else None
        table.add_row(*cells, *(["knee"] if pages == bend else []), style=style)
    return table


def _heads(scope: Scope, part: str) -> dict[str, str]:
    """The lines that are shown; that of faults' latencies where there is one."""
    known = {line.name for line in scope.lines if line.part == part}
    return {line: head for line, head in _HEADS.items() if line != BY_LATENCY or line in known}


def _shown(scope: Scope, wanted: set[int]) -> list[int]:
    percents = {-(-scope.pages * percent // 100) for percent in SHOWN}
    bend = scope.knee()
    return sorted(percents | wanted | ({bend} if bend is not None else set()))


def _cell(scope: Scope, line: str, pages: int, part: str) -> str:
    share, error = scope.share(line, pages, part), scope.error(line, pages, part)
    return f"{share:.1%}" if error < 0.0005 else f"{share:.1%} ±{error:.1%}"


def _knee(scope: Scope) -> str:
    bend = scope.knee()
    if bend is None:
        return "The curve has no knee: each page more brings about as much as the one before."
    return (
        f"Knee: {size(bend)}, the hottest pages that fit there serve "
        f"{scope.share(BOUND, bend):.1%}; beyond it each page brings less than on the average."
    )
