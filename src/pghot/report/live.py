"""A live run as a line a second on stderr, and as tables at its end."""

from __future__ import annotations

from shutil import get_terminal_size
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine.units import USEC_PER_SEC
from pghot.live.result import LiveResult
from pghot.report.stderr import Messages
from pghot.report.table import size


def status_line(result: LiveResult) -> str:
    """Give the state of things in one line."""
    seen = sum(source.counts.seen for source in result.sources)
    lost = sum(source.counts.lost for source in result.sources)
    refused = sum(count for count, _ in result.refusals().values())
    line = (
        f"{result.elapsed_us / USEC_PER_SEC:6.0f} s  samples {seen:,}  hot {result.found:,}  "
        f"promoted {result.promoted:,} ({size(result.promoted)})  refused {refused:,}  "
        f"cpu {result.cpu_share:.0%}"
    )
    return f"{line}  lost {lost:,}" if lost else line


class StatusLine:
    """Writes the line to a stream: over itself on a terminal, every `period_s` elsewhere."""

    def __init__(self, period_s: float = 10, stream: TextIO | None = None) -> None:
        self._messages = Messages(stream, _missing)
        self._terminal = self._messages.terminal
        self._period_us = int(period_s * USEC_PER_SEC)
        self._due = self._period_us
        self._width = 0

    def show(self, result: LiveResult) -> None:
        """Write how things are, where it is time."""
        if self._terminal:
            # A longer one would go on in the next row, and the next status leave it there.
            line = status_line(result)[: get_terminal_size().columns - 1]
            self._messages.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif result.elapsed_us >= self._due:
            self._due = result.elapsed_us + self._period_us
            self._messages.write(status_line(result) + "\n")

    def say(self, line: str) -> None:
        """Write a line of another kind, and do not mix it with the status."""
        self.end()
        self._messages.write(f"pghot: {line}\n")

    def end(self) -> None:
        """Leave the status line."""
        if self._terminal and self._width:
            self._messages.write("\r" + " " * self._width + "\r")
            self._width = 0


def _missing(count: int) -> str:
    return f"pghot: {count} messages before this one were dropped\n"


def print_live(result: LiveResult) -> None:
    """Print what came of a run to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    engine = result.engine
    moved = "would be moved" if result.dry_run else "promoted"
    console.print(
        f"[bold]{result.elapsed_us / USEC_PER_SEC:,.1f} s[/bold], {engine.layout.name} mode, "
        f"{engine.fidelity.name}; {result.why}",
        soft_wrap=True,
    )
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("found hot", f"{result.found:,}", "folios")
    table.add_row(f"pages {moved}", f"[bold]{result.promoted:,}[/bold]", size(result.promoted))
    for name, (count, words) in sorted(result.refusals().items()):
        table.add_row(f"refused: {name}", f"{count:,}", words)
    if result.kernel_promoted:
        table.add_row("promoted by the kernel itself", f"{result.kernel_promoted:,}", "pages")
    if result.pump.late:
        table.add_row("samples that came late", f"{result.pump.late:,}", "taken as of just then")
    table.add_row("our CPU time", f"{result.cpu_s:,.2f} s", f"{result.cpu_share:.1%} of one CPU")
    console.print(table)
    console.print(_sources(result))
    if any(result.left_out.values()):
        console.print(_left_out(result))
    if result.mover.budget.latencies.count:
        console.print(_latencies(result))
    if result.engine.memcg_promoted.total():
        console.print(_memcgs(result))
    for line in _advice(result):
        console.print(line, soft_wrap=True)


_COUNTS = {
    "seen": ("samples", ""),
    "lost": ("lost", "the ring was full, or the hardware dropped them"),
    "throttled": ("throttled", "times that an event stood still until the next tick"),
    "unresolved": ("without address", "no physical address"),
    "kernel": ("the kernel's own", "or of no process"),
    "not_memory": ("not of memory", "served by a cache, or no load or store"),
    "corrupt": ("corrupt", "records that made no sense"),
}
"""The figures of a source (`live_source.Counts`) as a person reads them."""

_ALWAYS = ("seen", "lost")


def _sources(result: LiveResult) -> Table:
    """Make a row a figure: as columns, large ones would not fit side by side."""
    table = Table("source", box=SIMPLE_HEAD, pad_edge=False)
    for source in result.sources:
        table.add_column(source.name, justify="right", no_wrap=True)
    table.add_column(style="dim")
    for field, (name, words) in _COUNTS.items():
        figures = [getattr(source.counts, field) for source in result.sources]
        if any(figures) or field in _ALWAYS:
            table.add_row(name, *(f"{figure:,}" for figure in figures), words)
    return table


def _left_out(result: LiveResult) -> Table:
    table = Table("samples left out", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("count", justify="right")
    for reason, count in result.left_out.items():
        table.add_row(reason, f"{count:,}")
    return table


def _latencies(result: LiveResult) -> Table:
    budget = result.mover.budget
    summary = budget.latencies.summary()
    table = Table("calls of move_pages", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("half within", "99 % within", "longest", "over budget"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{budget.latencies.count:,}",
        f"{summary['p50_ms']:.2f} ms",
        f"{summary['p99_ms']:.2f} ms",
        f"{summary['max_ms']:.2f} ms",
        f"{budget.over:,}",
    )
    return table


def _memcgs(result: LiveResult) -> Table:
    table = Table("memcg", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("pages", justify="right")
    table.add_column("control group", style="dim", overflow="fold")
    for memcg, pages in result.engine.memcg_promoted.most_common():
        table.add_row(f"{memcg}", f"{pages:,}", escape(result.memcg_names.get(memcg, "")))
    return table


def _advice(result: LiveResult) -> list[str]:
    """Say where to look when nothing was promoted."""
    if result.promoted:
        return []
    if not any(source.counts.seen for source in result.sources):
        return ["no sample came at all: see pghot doctor"]
    if not result.rows:
        return ["no target accessed memory of a lower tier: see pghot topology"]
    if not result.found:
        return ["no page was accessed often enough within the window: see freq_threshold"]
    return []
