"""Sizes that a person reads."""

from __future__ import annotations

from pghot.engine.units import PAGE_SHIFT


def size(pages: int) -> str:
    """Pages as a size that a person reads."""
    amount = float(pages << PAGE_SHIFT)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:,.1f} {unit}" if unit != "B" else f"{amount:.0f} B"
        amount /= 1024
    return f"{amount:,.1f} TiB"
