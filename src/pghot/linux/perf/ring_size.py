"""How large the rings of perf events are."""

from __future__ import annotations

RING_PAGES = 256
"""Data pages of a ring unless told otherwise.

Some 26,000 samples a CPU, for the first touches of a process that starts.
"""
