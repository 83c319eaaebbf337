"""Outcomes of a scenario as tables that a person reads, policies across."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.engine.reasons import by_words
from pghot.report.comparison import Comparison, Figure
from pghot.report.plain import plain
from pghot.report.sim_facts import BASE, start_of, verdict_against
from pghot.report.sizes import size
from pghot.simulated.policies.registry import ENTRIES
from pghot.simulated.result import Outcome

LABEL_WIDTH, POLICY_WIDTH = 27, 13
NOTHING = "-"

_ROWS: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
    ("accesses served fast", lambda o: f"{o.fast_share:.1%}"),
    ("promoted, pages", lambda o: f"{o.promoted:,}"),
    ("demoted, pages", lambda o: f"{o.demoted:,}"),
    ("promoted again in 10 s", lambda o: f"{o.ping_pong:,}"),
    ("promoted that were hot", lambda o: _share(o.accuracy)),
    ("hot set fast, average", lambda o: _share(o.coverage)),
    ("90 % of it fast after", lambda o: _seconds(o.hot_fast_s)),
    ("moved, both ways", lambda o: size(o.promoted + o.demoted)),
    ("overhead, CPU time", lambda o: _seconds(sum(o.overhead_s.values()))),
)


def print_comparison(comparison: Comparison) -> None:
    """Print what came of each policy, and what was published, to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    name = plain(comparison.name)
    console.print(
        f"[bold]{escape(name)}[/bold], scale {comparison.scale:g}, seed {comparison.seed}: "
        f"{escape(comparison.scenario.title)}",
        soft_wrap=True,
    )
    for line in _said(comparison):
        console.print(line, soft_wrap=True)
    several = max((console.width - LABEL_WIDTH) // POLICY_WIDTH, 1)
    for outcomes in _parts(comparison.outcomes, several):
        console.print(_outcomes(comparison, outcomes))
    if figures := comparison.published():
        console.print(_published(figures))
        if any(figure.fitted for figure in figures):
            console.print(
                "fitted: a parameter of the scenario was chosen by this figure", style="dim"
            )
    for outcome in comparison.outcomes:
        for note in outcome.notes:
            console.print(f"{outcome.policy}: {escape(note)}", soft_wrap=True)


def _said(comparison: Comparison) -> list[str]:
    """The verdict on each policy, in a line, and the times between which all lie."""
    lines = []
    base = next((o for o in comparison.outcomes if o.policy == BASE), None)
    start = start_of(comparison.scenario)
    for outcome in comparison.outcomes:
        if base is None or outcome is base or ENTRIES[outcome.policy].bound:
            continue
        time = verdict_against(base, outcome)
        lines.append(f"{outcome.policy}: [bold]{time['verdict']}[/bold]")
    said = [f"Promotion against none (start: {start}): {'; '.join(lines)}."] if lines else []
    if comparison.bounds:
        bounds = ", ".join(f"{name} {_seconds(s)}" for name, s in comparison.bounds.items())
        said.append(f"Run times lie between: {bounds}.")
    return said


def print_list(presets: Mapping[str, str], policies: Mapping[str, str]) -> None:
    """Print the shipped scenarios with what each shows, and the policies."""
    console = Console(highlight=False)
    for head, what in (("scenario", presets), ("policy", policies)):
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        table.add_column(head, no_wrap=True)
        table.add_column("shows" if what is presets else "")
        for name, line in what.items():
            table.add_row(name, escape(" ".join(line.split())))
        console.print(table)


def _outcomes(comparison: Comparison, outcomes: Sequence[Outcome]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for outcome in outcomes:
        # Broken where it does not hurt, so that four stand in eighty columns.
        table.add_column(outcome.policy.replace("-", "-\n"), justify="right", no_wrap=True)
    table.add_row("run time", *(f"[bold]{o.run_s:,.2f} s[/bold]" for o in outcomes))
    table.add_row("to that without promotion", *(_ratio(comparison.ratio(o)) for o in outcomes))
    if any(o.late_s is not None for o in outcomes):
        table.add_row("time of threads", *(_seconds(o.busy_s) for o in outcomes))
        table.add_row("longest lateness", *(_seconds(o.late_s) for o in outcomes))
    for label, show in _ROWS:
        table.add_row(label, *map(show, outcomes))
    for what in _names(outcome.overhead_s for outcome in outcomes):
        table.add_row(
            f"  {what}", *(_seconds(outcome.overhead_s.get(what)) for outcome in outcomes)
        )
    refused = [by_words(outcome.refused) for outcome in outcomes]
    for reason in _names(refused):
        counts = (f"{by_reason.get(reason, 0):,}" for by_reason in refused)
        table.add_row(_fold(f"refused: {reason}"), *counts)
    return table


def _published(figures: Sequence[Figure]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("published figure", no_wrap=True)
    for name in ("published", "here", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    policy = None
    for figure in figures:
        if figure.policy != policy:
            policy = figure.policy
            table.add_row(f"[bold]{policy}[/bold]")
        show = _seconds if figure.name == "run_s" else "{:,.0f}".format
        table.add_row(
            "  run time" if figure.name == "run_s" else f"  {figure.name}",
            show(figure.published),
            show(figure.here),
            _difference(figure.difference),
            "fitted" if figure.fitted else "",
        )
    return table


def _parts(outcomes: Sequence[Outcome], several: int) -> Iterator[Sequence[Outcome]]:
    for start in range(0, len(outcomes), several):
        yield outcomes[start : start + several]


def _names(tables: Iterable[dict[str, float] | dict[str, int]]) -> list[str]:
    """The names under which some table has more than nothing."""
    return sorted({name for table in tables for name, value in table.items() if value})


def _fold(label: str) -> str:
    """Break a label where the column of labels ends."""
    words, lines = label.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) >= LABEL_WIDTH:
            lines.append(" ")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.2f} s"


def _difference(value: float | None) -> str:
    """Write a share with its sign; what rounds to nothing has none."""
    text = NOTHING if value is None else f"{value:+.1%}"
    return "0.0%" if text in {"-0.0%", "+0.0%"} else text
