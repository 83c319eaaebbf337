"""Whether a run helped, in sentences: what is known of that, what is not, what a trial found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pghot.results.trial import FAST_SHARE, KINDS, METRIC
from pghot.results.verdict import CANNOT_BE_TOLD

if TYPE_CHECKING:
    from pghot.driving.run_state import Helps, HostFigures, SampleSpan, ServedSpans
    from pghot.report.page.read_trial import LiveOfResult

FEW = 100
"""Samples below which a share is told with that."""

LAST = "in the last 10 s"

FAULTS_TELL = (
    "Did it help?  Hint faults cannot tell: each says that a slow page was accessed since it was "
    "scanned, not how often, and accesses to fast memory take none."
)
SAMPLES_TELL = (
    "That is where accesses went, not how long the program took: --trial with --metric-command "
    "says that."
)
TRY = (
    "To find out: --trial 10m --metric-command COMMAND --better lower|higher, COMMAND printing a "
    "figure of the program's own."
)
SHORT = {
    METRIC: "metric",
    FAST_SHARE: "served fast",
    "memory_stall_some": "stalled, some task",
    "memory_stall_full": "stalled, all tasks",
}
"""Measures as a table has them."""


def helps_lines(live: HostFigures | LiveOfResult) -> list[str]:
    """What is known of whether a run helped; `live` is that part of its state or summary."""
    helps = live.helps
    if not helps:
        return []
    served, known = helps.served, _known(live, helps)
    if served and served.all.samples:
        return [_served(served), *known, SAMPLES_TELL]
    if helps.slow_faults is None:
        return ["Did it help?  No sample fell on memory of the targets: nothing is known.", *known]
    return [FAULTS_TELL, *known, TRY]


def _served(served: ServedSpans) -> str:
    """The share served fast before the first promotion and since."""
    before, since, last = served.before, served.since, served.last
    if since is None:
        return f"The top tier served {_share(before)}; nothing was promoted."
    parts = [f"{_share(before)} before the first promotion", f"{_share(since)} since"]
    if last.fast_share is not None:
        parts.append(f"{percent(last.fast_share)} {LAST}")
    line = f"The top tier served {', '.join(parts)}."
    if before.samples < FEW:
        line += "  Before it there were too few samples to compare with."
    return line


def _share(span: SampleSpan) -> str:
    if span.fast_share is None:
        return "none of 0 sampled accesses"
    return f"{percent(span.fast_share)} of {span.samples:,} sampled accesses"


def _known(live: HostFigures | LiveOfResult, helps: Helps) -> list[str]:
    """What hint faults, pages that stayed and pressure say."""
    parts = []
    faults, stall = helps.slow_faults, helps.memory_stall
    if faults and faults.all.faults:
        parts.append(
            f"{faults.all.per_s:,.0f} hint faults a second on slow pages, "
            f"{faults.last.per_s:,.0f} {LAST} (the pace of the scan moves that as well)"
        )
    if looked_at := live.looked_at_after_a_minute:
        stayed = 1 - live.demoted_within_a_minute / looked_at
        parts.append(
            f"{percent(stayed)} of {looked_at:,} promoted pages still fast after a minute"
        )
    if stall:
        parts.append(
            f"some task stood still for memory {percent(stall.all.some)} of the time ({stall.of})"
        )
    return [f"Known: {'; '.join(parts)}."] if parts else []


def trial_lines(trial: Mapping[str, Any], ended: str = "") -> list[str]:
    """What a trial found: its answer first, then what a reader should know of it."""
    lines = [f"Trial: {_answer(trial)}"]
    complete, pairs = trial["pairs_complete"], trial["pairs"]
    if len(trial["blocks"]) < 2 * pairs:
        why = f" ({ended})" if ended else ""
        lines.append(
            f"It ended early{why}, after {complete} of {pairs} pairs: an end that was chosen by "
            "what was seen makes an interval say too much."
        )
    lines += _left_out(trial["blocks"])
    return [*lines, *(f"Note: {note}." for note in trial["notes"])]


def _answer(trial: Mapping[str, Any]) -> str:
    """The verdict in one sentence, with the figures that it rests on."""
    by = trial["by"]
    if by is None:
        return (
            f"{CANNOT_BE_TOLD}: hint faults do not show which accesses were fast, and a slow "
            "access is no stall; --metric-command measures the program itself."
        )
    found = trial["measures"][by]
    if found["interval"] is None:
        return f"{CANNOT_BE_TOLD}: {found['pairs']} pairs have {_what(by)}, {_needed(trial)}."
    first, second = trial["arms"]
    said = {
        "better": f"{first} is better than {second}",
        "worse": f"{first} is worse than {second}",
    }.get(found["verdict"], CANNOT_BE_TOLD)
    line = (
        f"{said}, by {_what(by)}: {figure(by, found['means'][0])} against "
        f"{figure(by, found['means'][1])}, a difference of {_change(by, found)}, "
        f"{interval(by, found)} with {percent(found['confidence'])} confidence "
        f"({found['pairs']} pairs)"
    )
    if found["verdict"] == CANNOT_BE_TOLD:
        return f"{line}: that includes zero."
    if by == FAST_SHARE:
        return f"{line}.  Whether the program is faster, its own metric alone says."
    return f"{line}."


def _what(measure: str) -> str:
    return "the metric" if measure == METRIC else f"the share of {KINDS[measure].words}"


def _needed(trial: Mapping[str, Any]) -> str:
    return f"{trial['pairs_needed']} are needed"


def _left_out(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    whys = Counter(block["why"] for block in blocks if block["why"])
    lacking = Counter(why for block in blocks for why in block["lacking"].values())
    lines = []
    for words, found in (("do not count", whys), ("lack a measure", lacking)):
        if found:
            each = "; ".join(f"{why} ({count})" for why, count in found.most_common())
            lines.append(f"{found.total()} of {len(blocks)} blocks {words}: {each}.")
    return lines


def figure(measure: str, value: float, sign: str = "") -> str:
    """A value of a measure; shares as percent."""
    if measure == METRIC:
        return f"{value:{sign},.5g}"
    return f"{value * 100:{sign}.4g} %"


def interval(measure: str, found: Mapping[str, Any]) -> str:
    """From where to where the difference is."""
    low, high = found["interval"]
    return f"between {figure(measure, low, '+')} and {figure(measure, high, '+')}"


def _change(measure: str, found: Mapping[str, Any]) -> str:
    """The difference, of a metric also as a share of the second kind's mean."""
    text = figure(measure, found["difference"], "+")
    base = found["means"][1]
    if measure == METRIC and base:
        text += f" ({found['difference'] / abs(base) * 100:+.3g} %)"
    return text.replace(" %", " points") if measure != METRIC else text


def percent(share: float) -> str:
    """A share; one that is neither 0 nor 1 is not written as if it were."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{share * 100:.1f} %"


def short_line(helps: Helps | None) -> str:
    """The same for a line of status; empty where nothing is known yet."""
    if not helps:
        return ""
    served, faults = helps.served, helps.slow_faults
    if served and served.last.fast_share is not None:
        fast = f"served fast {served.last.fast_share:.0%}"
        before = served.before.fast_share
        return fast if served.since is None or before is None else f"{fast} (before {before:.0%})"
    return f"slow faults {faults.last.per_s:,.0f}/s" if faults else ""
