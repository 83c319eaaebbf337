"""How large the rings of perf events are."""

from __future__ import annotations

RING_BYTES = 1 << 20
"""Bytes of a ring's data unless told otherwise.

Some 26,000 samples a CPU, for the first touches of a process that starts.
"""

RING_PAGES = RING_BYTES >> 12
"""The same in pages of 4 KiB."""


def ring_pages(page_size: int, size: int = RING_BYTES) -> int:
    """Data pages of a ring of so many bytes, where a page has `page_size`: one at the least."""
    return max(size // page_size, 1)
