"""What came of a live run, as tables that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine.units import USEC_PER_SEC
from pghot.live.scan_pace import FAULT_NS
from pghot.live.trial_plan import OFF, ON
from pghot.report.helps import SHORT, figure, helps_lines, trial_lines
from pghot.report.plain import plain
from pghot.report.sizes import size

if TYPE_CHECKING:
    from pghot.live.result import LiveResult


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
    if result.buffer.late:
        table.add_row("samples that came late", f"{result.buffer.late:,}", "taken as of just then")
    _add_heat(table, result)
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
    _print_helps(console, result)


def _print_helps(console: Console, result: LiveResult) -> None:
    """Answer whether it helped: last, for that is what is asked.

    What moved nothing did not; a trial says so itself.
    """
    if result.dry_run or not (result.promoted or result.trial):
        return
    summary = result.summary()
    trial = summary["trial"]
    if trial is not None:
        if trial["measures"]:
            console.print(_trial(trial))
        for line in trial_lines(trial, result.why):
            console.print(escape(line))
        return
    for line in helps_lines(summary["live"]):
        console.print(escape(line))


def _trial(trial: Mapping[str, Any]) -> Table:
    """Make a row a measure: means, and the difference with its interval."""
    names = ("on", "off") if trial["arms"] == [ON, OFF] else ("as given", "against")
    table = Table(f"trial, {trial['pairs_complete']} pairs", box=SIMPLE_HEAD, pad_edge=False)
    for name in (*names, "difference", "interval"):
        table.add_column(name, justify="right")
    for measure, found in trial["measures"].items():
        cells = [_cell(measure, value) for value in (*found["means"], found["difference"])]
        between = "-"
        if found["interval"] is not None:
            between = " .. ".join(figure(measure, bound, "+") for bound in found["interval"])
        table.add_row(SHORT[measure], *cells, between)
    return table


def _cell(measure: str, value: float | None) -> str:
    return "-" if value is None else figure(measure, value)


def _add_heat(table: Table, result: LiveResult) -> None:
    """What was learnt from latencies, what stayed, and what the faults cost."""
    faults, staying, pacer = result.engine.fault_latency, result.staying, result.pacer
    if faults.passed + faults.over:
        words = "no page is hotter than others" if faults.flat else f"{faults.threshold_us:,} us"
        table.add_row(
            "hot by their latency",
            f"{faults.passed:,}",
            f"faults; now below {words}" if not faults.flat else words,
        )
    if staying is not None and staying.looked_at:
        share = staying.demoted / staying.looked_at
        table.add_row("demoted within a minute", f"{share:.0%}", "of the pages looked at again")
    if pacer is not None and pacer.targets_ns:
        words = f"of the targets' CPU time, at {FAULT_NS:,} ns each"
        table.add_row("hint faults cost", f"{pacer.targets_share:.2%}", words)


_COUNTS = {
    "seen": ("samples", ""),
    "lost": ("lost", "the ring was full, or the hardware dropped them"),
    "throttled": ("throttled", "times that an event or a writer had to wait"),
    "unresolved": ("without address", "no physical address"),
    "kernel": ("the kernel's own", "or of no process"),
    "not_memory": ("not of memory", "served by a cache, or no load or store"),
    "corrupt": ("corrupt", "records that made no sense"),
    "not_found": ("not found", "of page frames that no target maps"),
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
        table.add_row(f"{memcg}", f"{pages:,}", escape(plain(result.memcg_names.get(memcg, ""))))
    return table


def _advice(result: LiveResult) -> list[str]:
    """Where to look when nothing was promoted."""
    if result.promoted:
        return []
    if not any(source.counts.seen for source in result.sources):
        return ["no sample came at all: see pghot doctor"]
    if not result.rows:
        return ["no target accessed memory of a lower tier: see pghot topology"]
    if not result.found:
        return ["no page was accessed often enough within the window: see freq_threshold"]
    return []
