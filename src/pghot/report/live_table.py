"""What came of a live run, as tables that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine.reasons import LIVE
from pghot.live.scan_pace import FAULT_NS
from pghot.live.trial_plan import OFF, ON
from pghot.report.helps import SHORT, figure, helps_lines, trial_lines
from pghot.report.plain import plain
from pghot.report.sizes import size

if TYPE_CHECKING:
    from pghot.driving.run_state import CallLatency, HostFigures, RunState
    from pghot.live.result import LiveResult


def print_live(result: LiveResult) -> None:
    """Print what came of a run to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    state, live = result.state, result.state.live
    moved = "would be moved" if live.dry_run else "promoted"
    console.print(
        f"[bold]{live.real_s:,.1f} s[/bold], {state.mode} mode, {live.fidelity}; {live.ended}",
        soft_wrap=True,
    )
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    table.add_row("found hot", f"{live.found_hot:,}", "folios")
    promoted = f"[bold]{live.promoted_pages:,}[/bold]"
    table.add_row(f"pages {moved}", promoted, size(live.promoted_pages))
    for name, count in sorted(live.refused.items()):
        table.add_row(f"refused: {name}", f"{count:,}", LIVE[name])
    if live.kernel_promoted_pages:
        table.add_row("promoted by the kernel itself", f"{live.kernel_promoted_pages:,}", "pages")
    if live.late_rows:
        table.add_row("samples that came late", f"{live.late_rows:,}", "taken as of just then")
    _add_heat(table, live)
    table.add_row("our CPU time", f"{live.cpu_s:,.2f} s", f"{live.cpu_share:.1%} of one CPU")
    console.print(table)
    console.print(_sources(live))
    if live.left_out:
        console.print(_left_out(live))
    if live.batch_latency.count:
        console.print(_latencies(live.batch_latency))
    if live.memcg_promoted:
        console.print(_memcgs(live))
    for line in _advice(state):
        console.print(line, soft_wrap=True)
    _print_helps(console, live, result.trial())


def _print_helps(console: Console, live: HostFigures, trial: Mapping[str, Any] | None) -> None:
    """Answer whether it helped: last, for that is what is asked.

    What moved nothing did not; a trial says so itself.
    """
    if live.dry_run or not (live.promoted_pages or trial):
        return
    if trial is not None:
        if trial["measures"]:
            console.print(_trial(trial))
        for line in trial_lines(trial, live.ended):
            console.print(escape(line))
        return
    for line in helps_lines(live):
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


def _add_heat(table: Table, live: HostFigures) -> None:
    """What was learnt from latencies, what stayed, and what the faults cost."""
    faults, cost = live.fault_latency, live.hint_fault_cost
    if faults.ready + faults.not_ready:
        words = "no page is hotter than others" if faults.flat else f"{faults.threshold_us:,} us"
        table.add_row(
            "hot by their latency",
            f"{faults.ready:,}",
            f"faults; now below {words}" if not faults.flat else words,
        )
    if live.looked_at_after_a_minute:
        share = live.demoted_within_a_minute / live.looked_at_after_a_minute
        table.add_row("demoted within a minute", f"{share:.0%}", "of the pages looked at again")
    if cost is not None and cost.share_of_targets_cpu:
        words = f"of the targets' CPU time, at {FAULT_NS:,} ns each"
        table.add_row("hint faults cost", f"{cost.share_of_targets_cpu:.2%}", words)


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
"""The figures of a source (`run_state.SourceCounts`) as a person reads them."""

_ALWAYS = ("seen", "lost")


def _sources(live: HostFigures) -> Table:
    """Make a row a figure: as columns, large ones would not fit side by side."""
    table = Table("source", box=SIMPLE_HEAD, pad_edge=False)
    for name in live.sources:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(style="dim")
    for field, (name, words) in _COUNTS.items():
        figures = [getattr(counts, field) for counts in live.sources.values()]
        if any(figures) or field in _ALWAYS:
            table.add_row(name, *(f"{figure:,}" for figure in figures), words)
    return table


def _left_out(live: HostFigures) -> Table:
    table = Table("samples left out", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("count", justify="right")
    for reason, count in live.left_out.items():
        table.add_row(reason, f"{count:,}")
    return table


def _latencies(calls: CallLatency) -> Table:
    table = Table("calls of move_pages", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("half within", "99 % within", "longest", "over budget"):
        table.add_column(name, justify="right")
    table.add_row(
        f"{calls.count:,}",
        f"{calls.p50_ms:.2f} ms",
        f"{calls.p99_ms:.2f} ms",
        f"{calls.max_ms:.2f} ms",
        f"{calls.over_budget:,}",
    )
    return table


def _memcgs(live: HostFigures) -> Table:
    table = Table("memcg", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("pages", justify="right")
    table.add_column("control group", style="dim", overflow="fold")
    for memcg, pages in sorted(live.memcg_promoted.items(), key=lambda item: -item[1]):
        table.add_row(memcg, f"{pages:,}", escape(plain(live.memcg_names.get(memcg, ""))))
    return table


def _advice(state: RunState) -> list[str]:
    """Where to look when nothing was promoted."""
    if state.live.promoted_pages:
        return []
    if not state.live.samples:
        return ["no sample came at all: see pghot doctor"]
    if not state.accesses:
        return ["no target accessed memory of a lower tier: see pghot topology"]
    if not state.live.found_hot:
        return ["no page was accessed often enough within the window: see freq_threshold"]
    return []
