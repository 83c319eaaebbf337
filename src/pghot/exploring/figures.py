"""All figures of a result in one flat table: names with dots, numbers and text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pghot.replaying.result import Result
from pghot.simulated.result import Outcome

Figures = dict[str, int | float | str | None]


_ELSEWHERE = ("command", "kind", "log", "machine", "taken_by", "version")
"""Parts of a summary that say what was run, which a point's own columns do."""


def figures_of_result(result: Result) -> Figures:
    """The figures of a replay: shares, pages moved, and all of its summary.

    A page that is promoted is a move; a replay demotes nothing.
    """
    summary = replace(result, log_path=None).summary()  # without the digest of the log
    figures = {name: value for name, value in summary.items() if name not in _ELSEWHERE}
    saved = result.time
    own: Figures = {
        "moves": result.promoted_pages,
        "skipped": result.skipped,
        "time.least_saved_s": saved.low_s if saved else None,
        "time.most_saved_s": saved.high_s if saved else None,
    }
    return flat(figures) | own


def figures_of_outcome(outcome: Outcome) -> Figures:
    """The figures of a policy in a simulation."""
    own: Figures = {
        "fast_share": outcome.fast_share,
        "run_s": outcome.run_s,
        "moves": outcome.promoted + outcome.demoted,
        "promoted": outcome.promoted,
        "demoted": outcome.demoted,
        "accesses": outcome.accesses,
        "ping_pong": outcome.ping_pong,
        "accuracy": outcome.accuracy,
        "coverage": outcome.coverage,
        "hot_fast_s": outcome.hot_fast_s,
        "migrated_bytes": outcome.migrated_bytes,
    }
    tables = {
        "overhead_s": outcome.overhead_s,
        "refused": outcome.refused,
        "memcg_promoted": outcome.memcg_promoted,
        "group_s": outcome.group_s,
        "vmstat": outcome.counters,
    }
    return own | flat(tables)


def flat(tables: Mapping[Any, Any], before: str = "") -> Figures:
    """Tables within tables as one, whose names have dots; lists are left out."""
    found: Figures = {}
    for key, value in tables.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif value is None or isinstance(value, int | float | str):
            found[name] = value
    return found
