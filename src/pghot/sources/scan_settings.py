"""Settings of the kernel's scan for hint faults."""

from __future__ import annotations

from typing import NamedTuple


class Pace(NamedTuple):
    """How fast the kernel looks for slow pages; None leaves a setting as it is.

    Names are debugfs's: milliseconds, and MiB for `scan_size_mb`.
    """

    scan_delay_ms: int | None = None
    scan_period_min_ms: int | None = None
    scan_period_max_ms: int | None = None
    scan_size_mb: int | None = None
