"""Runs that tests make up."""

from __future__ import annotations

from typing import Any

import numpy as np

from pghot.report.page.model import ReportTimeline, Run


def timeline(columns: int = 4, **more: Any) -> ReportTimeline:
    return ReportTimeline(1.0, promoted=np.full(columns, 256.0), **more)


def a_run(name: str = "one", **more: Any) -> Run:
    values: dict[str, Any] = {
        "kind": "replay", "about": "replay, default mode, v7", "elapsed_s": 4.0,
        "timeline": timeline(), "promoted": 1024, "accesses": 1000, "share": 0.75,
        "share_without": 0.25, "refused": {}, "rate_limit_MBps": 10,
    }  # fmt: skip
    return Run(name, **(values | more))
