"""A replay's result as tables that a person reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine import reasons
from pghot.engine.units import USEC_PER_SEC
from pghot.report.plain import plain
from pghot.report.sizes import size
from pghot.report.verdict import verdict_lines

if TYPE_CHECKING:
    from pghot.replaying.result import Result


BASELINES = {
    "as_placed": "as placed, nothing promoted",
    "first_touch": "by first touch",
    "interleave": "interleaved by room",
    "bound": "the hottest pages that fit (bound)",
}
"""Placements without promotion in words, by their names in summary.json."""


def print_result(result: Result, name: str) -> None:
    """Print what came of a replay to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    engine = result.engine
    name = plain(name)
    console.print(
        f"[bold]{escape(name)}[/bold], {engine.layout.name} mode, {engine.fidelity.name}: "
        f"{result.accesses:,} accesses in {result.elapsed_us / USEC_PER_SEC:,.1f} s",
        soft_wrap=True,
    )
    for line in _said(result):
        console.print(line, soft_wrap=True)
    if result.taken_by:
        console.print(f"the log was taken by {escape(plain(result.taken_by))}", soft_wrap=True)
    console.print(_outcome(result))
    if result.baselines is not None:
        console.print(_shares(result))
    console.print(_nodes(result))
    console.print(_counters(result))
    if result.busiest:
        console.print(_busiest(result))
    for line in _hints(result):
        console.print(line, soft_wrap=True)


def print_hint(text: str) -> None:
    """Print lines that say where to go on."""
    Console(highlight=False).print(text, style="dim", soft_wrap=True)


def _outcome(result: Result) -> Table:
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    promoted = result.pages_promoted
    table.add_row("pages promoted", f"[bold]{promoted:,}[/bold]", size(promoted))
    table.add_row("in batches", f"{result.batches:,}", "")
    if result.as_live:
        table.add_row(
            "as it went live", "", "with the free pages, folios and refusals of the host"
        )
    for reason, count in sorted(result.engine.refused.items()):
        table.add_row("refusals of ready folios", f"{count:,}", reasons.words(reason))
    if result.skipped:
        table.add_row("bad rows skipped", f"{result.skipped:,}", "")
    return table


def _said(result: Result) -> list[str]:
    """The verdict and what it rests on, where the log can tell."""
    if result.time is None:
        return []
    verdict, *basis = verdict_lines(result.time.to_dict())
    return [f"[bold]{escape(verdict)}[/bold]", *(f"[dim]{escape(line)}[/dim]" for line in basis)]


def _shares(result: Result) -> Table:
    table = Table("accesses served by the fast tier", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("whole log", justify="right")
    table.add_column("second half", justify="right")
    shares = {"with promotion": result.served}
    for name, words in BASELINES.items():
        shares[words] = getattr(result.baselines, name)
    for words, share in shares.items():
        if share is not None:
            table.add_row(words, percent(share.whole), percent(share.steady))
    return table


def percent(share: float | None) -> str:
    """Write a share to a tenth of a percent; a dash where it is not known."""
    return "-" if share is None else f"{share:.1%}"


def _nodes(result: Result) -> Table:
    table = Table("node", "tier", box=SIMPLE_HEAD, pad_edge=False, title_justify="left")
    # Broken where it does not hurt: eighty columns must do, and names cut short are no names.
    for name in (
        "size",
        "free at\nthe end",
        "pgpromote_\nsuccess",
        "pgpromote_\ncandidate",
        "pgpromote_\ncandidate_nrl",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    nodes = result.summary()["nodes"]
    for nid, node in nodes.items():
        top = result.memory.node_is_toptier(int(nid))
        table.add_row(
            nid,
            "top" if top else "lower",
            size(result.memory.present_pages(int(nid))),
            size(node["free_pages"]),
            *(
                f"{node[name]:,}"
                for name in ("pgpromote_success", "pgpromote_candidate", "pgpromote_candidate_nrl")
            ),
        )
    return table


def _counters(result: Result) -> Table:
    table = Table("vmstat counter", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("count", justify="right")
    for name, count in result.engine.vmstat.as_dict().items():
        if count:
            table.add_row(name, f"{count:,}")
    return table


def _busiest(result: Result) -> Table:
    table = Table("busiest batches", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("at", "folios", "moved", "from", "to", "memcg"):
        table.add_column(name, justify="right")
    for batch in result.busiest:
        table.add_row(
            f"{batch.number}",
            f"{batch.time_us / USEC_PER_SEC:,.1f} s",
            f"{batch.folios:,}",
            size(batch.pages),
            f"node {batch.from_nid}",
            f"node {batch.to_nid}",
            f"{batch.memcg}",
        )
    return table


def _hints(result: Result) -> list[str]:
    """What to look at: a machine without a top tier, or nothing that moved."""
    if not any(result.memory.node_is_toptier(nid) for nid in result.memory.node_ids()):
        return ["no node is top tier: pages went from one slow node to another, if anywhere"]
    if result.pages_promoted or not result.accesses:
        return []
    target = result.engine.tunables["target_nid"]
    if not result.engine.memory.node_is_toptier(target):
        return [f"target_nid is {target}, which is no top-tier node: --set target_nid=N"]
    if not result.memory.free_pages(target):
        return [f"node {target} has no free pages: give it some (free_pages in the machine file)"]
    if not result.engine.vmstat["pghot_recorded_accesses"]:
        return ["no access was to a page of a lower tier"]
    return ["no page was touched often enough within the window: see freq_threshold"]
