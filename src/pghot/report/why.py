"""The life of a page, and a run's refusals, as a person reads them."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine.reasons import MOVED, refusal, words
from pghot.report.plain import plain
from pghot.why.advice import advice, opening
from pghot.why.life import IGNORED, RECORDED, Life, LifeStep
from pghot.why.refused import Refusals

MOST_STEPS = 40
"""Steps that are shown; the ones in the middle of a longer life are counted."""


def life_dict(life: Life) -> dict[str, Any]:
    """A life as `pghot why --json` prints it."""
    said = life.said
    return {
        "page": str(life.page),
        "region": life.region or None,
        "mode": said.mode,
        "fidelity": said.fidelity,
        "hz": said.hz,
        "steps": [step.to_dict() for step in life.steps],
        "answer": advice(life),
        "complete_from_s": life.complete_from_s,
        "damaged_parts": life.damaged,
        "tunables": said.tunables,
        "statuses": said.statuses,
    }


def print_life(life: Life) -> None:
    """Print a life to stdout."""
    console = Console(highlight=False)
    said = life.said
    region = f", {plain(life.region)}" if life.region else ""
    where = escape(f"{region}{_where(life)}")
    console.print(f"[bold]{life.page}[/bold]{where}, {said.mode} mode, {said.fidelity}")
    heat = f"heat ({said.tunables['freq_threshold']}: ready)"
    table = Table("seconds", "what", heat, box=SIMPLE_HEAD, pad_edge=False)
    steps, left_out = life.steps, len(life.steps) - MOST_STEPS
    for number, step in enumerate(steps):
        if left_out > 0 and MOST_STEPS // 2 <= number < MOST_STEPS // 2 + left_out:
            if number == MOST_STEPS // 2:
                table.add_row("...", f"{left_out:,} more steps (--json has them)", "")
            continue
        table.add_row(_when(step), _what(step), _heat(step))
    console.print(table)
    console.print(f"[bold]{opening(life)}:[/bold] {advice(life)}.", soft_wrap=True)
    _print_gaps(console, life.complete_from_s, life.damaged)


def print_refusals(refusals: Refusals) -> None:
    """Print what a run refused to stdout."""
    console = Console(highlight=False)
    refused = refusals.judged - refusals.moved
    console.print(
        f"{refusals.judged:,} times a ready folio was judged: "
        f"{refusals.moved:,} moved, {refused:,} refused"
    )
    table = _table("refused by", "times", "folios")
    for reason in refusals.reasons:
        table.add_row(reason.words, f"{reason.times:,}", f"{reason.folios:,}")
    _print_rows(console, table)
    table = Table("refused most", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("pages", "times"):
        table.add_column(name, justify="right")
    table.add_column("by")
    table.add_column("moved")
    for folio in refusals.folios:
        name = f"PFN {folio.pfn:#x}"
        name += f"\n{folio.pid}:{folio.vaddr:#x}" if folio.pid else ""
        name += f"\n{escape(plain(folio.region))}" if folio.region else ""
        reasons = sorted(folio.reasons.items(), key=lambda item: -item[1])
        by = "\n".join(f"{words} {count:,}" for words, count in reasons)
        moved = "yes" if folio.moved else "no"
        table.add_row(name, f"{folio.pages:,}", f"{folio.times:,}", by, moved)
    _print_rows(console, table)
    table = _table("processes refused most", "times")
    for pid, count in refusals.processes:
        table.add_row(str(pid), f"{count:,}")
    _print_rows(console, table)
    table = _table("accesses", "count")
    for fate, count in refusals.outcomes.items():
        table.add_row(words(fate), f"{count:,}")
    _print_rows(console, table)
    _print_gaps(console, refusals.complete_from_s, refusals.damaged)


def _table(first: str, *counts: str) -> Table:
    table = Table(first, box=SIMPLE_HEAD, pad_edge=False)
    for name in counts:
        table.add_column(name, justify="right")
    return table


def _print_rows(console: Console, table: Table) -> None:
    if table.rows:
        console.print(table)


def _print_gaps(console: Console, complete_from_s: float, damaged: list[int]) -> None:
    """What the log cannot know."""
    if complete_from_s:
        console.print(f"The log is complete from {complete_from_s:,.1f} s on.", style="dim")
    for number in damaged:
        console.print(f"Part {number} is damaged and left out.", style="dim")


def _where(life: Life) -> str:
    folios = list(dict.fromkeys((step.folio, step.pages) for step in life.steps))
    first, pages = folios[0]
    size = "" if pages == 1 else f" of {pages:,} pages"
    if len(folios) > 1:
        return f", in {len(folios)} folios, the first at PFN {first:#x}{size}"
    is_it = life.page.pid is None and pages == 1
    return "" if is_it else f", in the folio{size} at PFN {first:#x}"


def _when(step: LifeStep) -> str:
    first, last = (f"{time:,.3f}" for time in (step.times[0], step.times[-1]))
    return first if first == last else f"{first} to {last}"


def _what(step: LifeStep) -> str:
    count = len(step.times)
    if step.what in {RECORDED, IGNORED}:
        sources = ", ".join(sorted(step.sources))
        line = f"{count:,} access{'es' if count > 1 else ''} ({sources})"
        return f"{line}, ignored: {words(step.why)}" if step.what == IGNORED else line
    if step.what == MOVED:
        how = f" ({step.status})" if step.status else ""
        return f"moved from node {step.from_nid} to node {step.to_nid} in batch {step.batch}{how}"
    times = f" {count:,} times" if count > 1 else ""
    why = refusal(step.why, step.status, movable=step.movable)
    batch = f" in batch {step.batch}" if step.batch >= 0 else ""
    return f"refused{times}{batch}: {why}"


def _heat(step: LifeStep) -> str:
    if step.what == IGNORED:
        return ""
    heat = str(step.heat)
    if step.became_ready:
        times = f"ready {step.became_ready:,} times"
        heat += f", {times if step.became_ready > 1 else 'becomes ready'}"
    return heat + (" (its age wrapped)" if step.wrapped else "")
