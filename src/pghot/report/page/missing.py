"""One line instead of an empty chart."""

from __future__ import annotations

from collections.abc import Container, Sequence

from pghot.report.page.model import Run

_WHAT = {
    "fast": "share of fast accesses",
    "promotions": "promotions over time",
    "demotions": "demotions",
    "map": "heat map",
    "heat": "distribution of heat",
    "batches": "batch sizes",
    "latencies": "batch latencies",
    "refused": "count of refusals",
}


def why(runs: Sequence[Run], key: str, shown: Container[str]) -> list[str]:
    """A line a reason on the runs that a section has nothing to show of."""
    reasons: dict[str, list[str]] = {}
    for run in runs:
        if run.name not in shown:
            reason = run.why.get(key, "the result does not hold it")
            reasons.setdefault(reason, []).append(run.name)
    if len(runs) == 1:
        return [f"No {_WHAT[key]}: {reason}." for reason in reasons]
    return [
        f"No {_WHAT[key]} of {', '.join(names)}: {reason}." for reason, names in reasons.items()
    ]
