"""When a log is too short or too thin for an answer."""

from __future__ import annotations

from pghot.engine.units import USEC_PER_SEC
from pghot.exploring.case import Case

LEAST_ROWS = 10_000
LEAST_A_PAGE = 4
"""Rows a page on the average: of fewer, most pages are ready in no window."""

LEAST_S = 10
"""Three windows of the record: what a run needs to know hot pages and to move them."""


def too_thin(case: Case) -> str:
    """Say why nothing can be told of promotion; empty where it can."""
    if case.kind != "log":
        return ""
    if case.faults * 2 > case.rows:
        return (
            "the log is of hint faults, which see slow memory only and a page once a scan; "
            "record samples of the hardware, or advise on a scenario"
        )
    if case.rows < LEAST_ROWS:
        return f"the log has {case.rows:,} rows; {LEAST_ROWS:,} are needed"
    if case.rows < LEAST_A_PAGE * case.footprint:
        return (
            f"the log has {case.rows / case.footprint:.1f} rows a page; {LEAST_A_PAGE} are "
            "needed: sample more often, or longer"
        )
    span_s = case.span_us / USEC_PER_SEC
    if span_s < LEAST_S:
        return f"the log is of {span_s:,.1f} s; {LEAST_S} s are needed"
    return ""
