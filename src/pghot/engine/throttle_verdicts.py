"""What the throttle finds of a folio, and its numbers (R4; patch 5)."""

from __future__ import annotations

ADMITTED, OVER_THRESHOLD, RATE_LIMITED = 0, 1, 2

KMIGRATED_MIGRATION_ADJUST_STEPS = 16

KMIGRATED_PROMOTION_THRESHOLD_WINDOW = 60_000
"""Milliseconds between two adjustments of the dynamic threshold."""

ENOUGH_PAGES = 262_144
"""Pages of 1 GiB: free room is at least this much above the promo watermark."""
