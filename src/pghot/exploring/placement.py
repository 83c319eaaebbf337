"""What to place in fast memory: the regions of a log's processes, hottest pages first."""

from __future__ import annotations

from typing import NamedTuple

from pghot.exploring.curve_result import Curve

LEAST = 0.005
"""Share of the accesses below which a region is not named."""


class RegionShare(NamedTuple):
    """A region by name: its `pages`, and its `share` of the accesses of the log."""

    name: str
    pages: int
    share: float


def placement_of(curve: Curve | None) -> list[RegionShare]:
    """Regions of a curve by region, those with most accesses a page first."""
    if curve is None:
        return []
    found = [
        RegionShare(scope.name, scope.pages, scope.accesses / curve.whole.accesses)
        for scope in curve.scopes
    ]
    return sorted(
        (region for region in found if region.share >= LEAST),
        key=lambda region: -region.share / region.pages,
    )
