"""Advice in plain words, on a terminal or in a report."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pghot.exploring.advice import Advice, PromoteAnswer, SettingsAnswer, SizeAnswer
from pghot.exploring.changes import shown
from pghot.report.plain import plain

NAMES = {
    "bound": "the hottest pages, where they stay",
    "lru": "LRU",
    "first_touch": "first touch",
    "promotion": "promotion, simulated",
}
"""Ways to use fast memory, in words."""

VERDICTS = {
    "pays": "Promotion pays",
    "does not pay": "Promotion does not pay",
    "cannot be told": "Whether promotion pays cannot be told",
}

REGIONS = 10
"""Regions that are named."""


def print_advice(advice: Advice) -> None:
    """Print the answers to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    name = advice.source.encode(errors="replace").decode()
    console.print(f"[bold]{escape(name)}[/bold]", soft_wrap=True)
    _head(console, "How much fast memory")
    for line in size_lines(advice):
        console.print(escape(line), soft_wrap=True)
    if advice.size is not None:
        console.print(_steps(advice.size))
    if advice.regions:
        _head(console, "What to place")
    for line in region_lines(advice):
        console.print(escape(line), soft_wrap=True)
    _head(console, "Which settings")
    for line in settings_lines(advice):
        console.print(escape(line), soft_wrap=True)
    _head(console, "Whether to promote")
    for line in promote_lines(advice):
        console.print(escape(line), soft_wrap=True)
    if advice.promote is not None:
        console.print(_trials(advice.promote))
    _head(console, "What would change the answer")
    for line in advice.changes:
        console.print(escape(f"- {line}"), soft_wrap=True)
    _head(console, "Taken for granted")
    for line in (*advice.assumed, *advice.notes):
        console.print(escape(f"- {line}"), soft_wrap=True)


def size_lines(advice: Advice) -> list[str]:
    """Say how much the target needs, by each way to use fast memory."""
    size = advice.size
    if size is None:
        return [f"Cannot be told: {advice.untold['size']}."]
    lines = [f"To serve {size.target:.0%} of the accesses, of {shown(size.footprint)} touched:"]
    largest = max(size.steps)
    for name, needed in size.needed.items():
        lines.append(f"  {NAMES[name]}: {_needed(needed, largest)}")
    return lines


def region_lines(advice: Advice) -> list[str]:
    """Say which regions have the hottest pages; nothing where the log names none."""
    if not advice.regions:
        return []
    more = len(advice.regions) - REGIONS
    return [
        "Regions, those with most accesses a page first:",
        *(
            f"  {plain(region.name)}: {region.share:.1%} of the accesses, to {shown(region.pages)}"
            for region in advice.regions[:REGIONS]
        ),
        *([f"  and {more} more"] if more > 0 else []),
    ]


def settings_lines(advice: Advice) -> list[str]:
    """Say which settings of v7 and of v8, and whether they are better by more than chance."""
    found = advice.settings
    if found is None:
        return [f"Cannot be told: {advice.untold['settings']}."]
    if found.other is None or found.lead is None:
        return [_of_posting(advice, found)]
    answers = {answer.posting: answer for answer in (found, found.other)}
    lines = [f"{name}: {_of_posting(advice, answers[name])}" for name in sorted(answers)]
    return [*lines, _between(advice, found, found.other.posting, found.lead)]


def _of_posting(advice: Advice, found: SettingsAnswer) -> str:
    gain = _gain(advice, found.gain, found.error)
    best, default = found.best.candidate.words(), found.default.candidate.words()
    if not found.told:
        line = f"The defaults, {default}: of {found.tried} candidates none is better by more "
        return f"{line}than chance ({best}: {gain})."
    line = f"{best}: {gain} against the defaults ({default}), best of {found.tried} on one part"
    return f"{line}, confirmed on another."


def _between(advice: Advice, found: SettingsAnswer, other: str, lead: tuple[float, float]) -> str:
    """Say which of the two postings does better, and by how much."""
    if not lead[0]:
        return "Between v7 and v8: no difference; none of what v8 changed comes up here."
    line = f"Between v7 and v8: {found.posting}, {_gain(advice, *lead)} than {other}"
    return f"{line}." if lead[0] > lead[1] else f"{line}, which may be chance."


def promote_lines(advice: Advice) -> list[str]:
    """Say whether promotion pays, against first touch and interleaving."""
    found = advice.promote
    if found is None:
        return [f"Cannot be told: {advice.untold['promote']}."]
    best = found.trials["best settings"]
    size = advice.size.chosen if advice.size else 0
    of = f" of {found.trials['first touch'].run_s:,.1f} s"
    line = f"{VERDICTS[found.verdict]} with {shown(size)} of fast memory, against first touch: "
    line += f"{_saved(*found.saved_s, of)}; {best.moves:,} pages moved, both ways."
    return [line, *_interleave(found), *_second_half(advice, found)]


def _interleave(found: PromoteAnswer) -> list[str]:
    if found.interleave is None:
        return []
    verdict, low, high = found.interleave
    of = f" of {found.trials['interleave'].run_s:,.1f} s"
    return [f"{VERDICTS[verdict]} against interleaving: {_saved(low, high, of)}."]


def _second_half(advice: Advice, found: PromoteAnswer) -> list[str]:
    """Say where the second half of a log tells otherwise than the whole."""
    best, base = found.trials["best settings"], found.trials["first touch"]
    if advice.kind != "log" or (best.share > base.share) == (best.late > base.late):
        return []
    line = f"In the second half it is the other way round: first touch serves {base.late:.1%} "
    return [f"{line}of the accesses fast, promotion {best.late:.1%}."]


def _gain(advice: Advice, gain: float, error: float) -> str:
    unit = "points more served fast" if advice.kind == "log" else "% less run time"
    return f"{100 * gain:+.1f} ±{100 * error:.1f} {unit}"


def _saved(low: float | None, high: float | None, of: str) -> str:
    if low is None and high is None:
        return "the time saved has no bound, as nobody knows what a row stands for"
    if high is None:
        return f"it saves {low:,.3g} s or more{of}"
    if low is None:
        return f"it saves {high:,.3g} s at the most{of}"
    return f"it saves {low:,.3g} to {high:,.3g} s{of}"


def _needed(needed: tuple[int | None, int | None, int | None], largest: int) -> str:
    least, best, most = needed
    if best is None:
        return f"more than {shown(largest)}"
    if least == best == most:
        return shown(best)
    between = f"{shown(best if least is None else least)} to "
    between += "more than all" if most is None else shown(most)
    return f"{shown(best)} ({between})"


def _steps(size: SizeAnswer) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("fast memory", justify="right", no_wrap=True)
    names = list(next(iter(size.steps.values())))
    for name in names:
        table.add_column(NAMES[name].replace(", ", ",\n"), justify="right")
    for pages, shares in size.steps.items():
        style = "bold" if pages == size.chosen else None
        table.add_row(shown(pages), *(f"{shares[name]:.1%}" for name in names), style=style)
    return table


def _trials(found: PromoteAnswer) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("policy", overflow="fold")
    for head in ("served\nfast", "second\nhalf", "run\ntime", "pages\nmoved", "CPU\ntime"):
        table.add_column(head, justify="right", no_wrap=True)
    for name, trial in found.trials.items():
        table.add_row(
            name, trial.candidate.words(), f"{trial.share:.1%}", f"{trial.late:.1%}",
            f"{trial.run_s:,.2f} s", f"{trial.moves:,}", f"{trial.overhead_s:,.2f} s",
        )  # fmt: skip
    return table


def _head(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")
