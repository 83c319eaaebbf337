"""The upper part of the view as lines of text: what is watched, nodes, rates, sources."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text

from pghot.engine.reasons import CANDIDATE
from pghot.report.sizes import size
from pghot.top import figures
from pghot.top.rates import Rates
from pghot.top.state import TopState

_SHORT = {reason.name: reason.short for reason in CANDIDATE if reason.short}

REASONS = 4
"""Reasons of refusal that have a line each; the others share one."""

GOOD, BAD, DIM, TOP = "green", "red", "dim", "bold"


class RateLine(NamedTuple):
    """A row of the table of rates: its name, a second, in all, and how it is painted.

    `pages`: the total, where it counts pages.
    """

    name: str
    rate: str
    total: str
    style: str = ""
    pages: int | None = None


def title(state: TopState) -> str:
    """What is watched, and how far it is."""
    pid = "" if state.pid is None else f" {state.pid}"
    engine = ", ".join(filter(None, [state.mode and f"{state.mode} mode", state.fidelity]))
    clock = figures.clock(state.time_s)
    parts = [f"{state.kind}{pid}", clock, state.progress, engine, state.name]
    return "  ".join(filter(None, parts))


def nodes(state: TopState, width: int, most: int = 1 << 10) -> Text:
    """A line a node: tier, size, free, fill; what `most` lines do not hold is counted."""
    text = Text().append("node  tier        size        free  used", DIM)
    wide = max(min(width - 50, 60), 10)
    over = len(state.nodes) > most
    for node in state.nodes[: most - 1] if over else state.nodes:
        share = figures.filled(node)
        text.append(f"\n{node.nid:>4}  ")
        text.append(f"{'top' if node.toptier else 'lower':<5}", style=TOP if node.toptier else "")
        text.append(f"{size(node.pages):>11} {size(node.free):>11}  ", style="")
        text.append(figures.bar(share, wide), style=GOOD if node.toptier else "cyan")
        text.append(f" {share:4.0%}")
    if over:
        text.append(f"\n      and {len(state.nodes) - most + 1} nodes more; --once shows all", DIM)
    return text


def rates(state: TopState, rate: Rates, *, wide: bool = False) -> Text:
    """Accesses, pages found, promoted and refused, a second and in all.

    `wide` has room for what the pages come to.
    """
    lines = _rate_lines(state, rate)
    text = Text().append(f"{'':<20}{'a second':>9}{'total':>11}", DIM)
    for line in lines:
        text.append(f"\n{line.name:<20}{line.rate:>9}{line.total:>11}", line.style)
        if wide and line.pages is not None:
            text.append(f"{size(line.pages):>12}")
    return text


def sources(state: TopState, rate: Rates) -> Text:
    """What each source saw and lost, and the batches with how long they took."""
    text = _head("source", "a second", "total", "lost")
    for source in state.sources:
        text.append(
            f"\n{source.name:<10}{figures.rate(rate.seen.get(source.name)):>10}"
            f"{figures.count(source.seen):>10}"
        )
        lost = figures.count(source.lost)
        text.append(f"{lost:>8}", style=BAD if source.lost else "")
    text.append("\n")
    text.append_text(_batches(state, rate))
    return text


def _rate_lines(state: TopState, rate: Rates) -> list[RateLine]:
    refused = sum(state.refused.values())
    promoted, demoted = state.promoted, state.demoted
    name = "would be promoted" if state.dry_run else "promoted"
    lines = [
        RateLine("accesses", figures.rate(rate.accesses), figures.count(state.accesses)),
        *_fast(state, rate),
        RateLine("found hot", figures.rate(rate.found), figures.count(state.found)),
        RateLine(name, figures.rate(rate.promoted), figures.count(promoted), GOOD, promoted),
    ]
    if demoted is not None:
        shown = figures.rate(rate.demoted), figures.count(demoted)
        lines.append(RateLine("demoted", *shown, pages=demoted))
    lines.append(RateLine("refused", figures.rate(rate.all_refused), figures.count(refused)))
    return lines + _reasons(state, rate)


def _fast(state: TopState, rate: Rates) -> list[RateLine]:
    """The share that the top tier served where it is known, else faults on slow pages.

    Of a run: lately, and since its first promotion.
    """
    if state.fast_share is None:
        if state.slow_faults is None:
            return []
        shown = figures.rate(rate.slow_faults), figures.count(state.slow_faults)
        return [RateLine("slow faults", *shown)]
    lately = "" if state.fast_last is None else f"{state.fast_last:.1%}"
    lines = [RateLine("served fast", lately, f"{state.fast_share:.1%}")]
    if state.fast_before is not None:
        lines.append(RateLine("  before promotion", "", f"{state.fast_before:.1%}"))
    return lines


def _reasons(state: TopState, rate: Rates) -> list[RateLine]:
    """The reasons of refusal, most frequent first; what is left over in one line."""
    known = rate.accesses is not None
    counts = sorted(state.refused.items(), key=lambda item: (-item[1], item[0]))
    counts = [(name, count) for name, count in counts if count]
    rest = counts[REASONS:] if len(counts) > REASONS + 1 else []
    lines = [
        RateLine(
            f"  {reason(name)}",
            figures.rate(rate.refused.get(name) if known else None),
            figures.count(count),
        )
        for name, count in counts[: len(counts) - len(rest)]
    ]
    if rest:
        each = [rate.refused.get(name, 0.0) for name, _ in rest]
        total = sum(count for _, count in rest)
        shown = figures.rate(sum(each) if known else None)
        lines.append(RateLine(f"  {len(rest)} reasons more", shown, figures.count(total)))
    return lines


def reason(name: str) -> str:
    """A reason by a name that a line has room for."""
    return _SHORT.get(name, name.replace("_", " "))[:20]


def _batches(state: TopState, rate: Rates) -> Text:
    text = _head("batches", "a second", "total", "")
    text.append(f"\n{'':<10}{figures.rate(rate.batches):>10}{figures.count(state.batches):>10}")
    latency = state.latency
    if latency is None:
        return text  # nobody times virtual moves
    text.append("\n")
    text.append_text(_head("took, ms", "half", "99 %", "max"))
    text.append(
        f"\n{'':<10}{figures.milliseconds(latency.p50_ms):>10}"
        f"{figures.milliseconds(latency.p99_ms):>10}{figures.milliseconds(latency.max_ms):>8}"
    )
    if latency.over_budget:
        text.append(f"\n{figures.count(latency.over_budget)} over the budget", style=BAD)
    return text


def _head(*names: str) -> Text:
    first, *others = names
    widths = (10, 10, 8)
    cells = "".join(f"{name:>{width}}" for name, width in zip(others, widths, strict=True))
    return Text().append(f"{first:<10}{cells}".rstrip(), DIM)
