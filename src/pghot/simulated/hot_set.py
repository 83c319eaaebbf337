"""The true hot set: what a policy should have found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from pghot.simulated.groups import Group
from pghot.simulated.machine.regions import FolioRegion

HOT_SHARE = 0.9
"""The hot set is the fewest folios that get this share of all accesses.

Folios as hot as the coolest of them belong to it: under uniform accesses all do.
"""


def heat(
    regions: Iterable[FolioRegion], groups: Sequence[Group], folios: int
) -> npt.NDArray[np.float64]:
    """Each folio's share of the accesses to come, were every thread as fast."""
    total = np.zeros(folios)
    for region in regions:
        for flow in region.flows:
            threads = sum(group.table.count for group in groups if group.flow is flow)
            total[region.rows] += threads * flow.weights
    return total / max(total.sum(), np.finfo(float).tiny)


def hottest(
    heat_of: npt.NDArray[np.float64], pages: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    """Mark the hot set, judging a folio by its heat a page."""
    density = heat_of / pages
    falling_heat, falling_density = _falling(heat_of, density, pages)
    gathered = np.cumsum(falling_heat)
    last = min(int(np.searchsorted(gathered, HOT_SHARE)), len(gathered) - 1)
    least = falling_density[last]
    # Weights that are equal but for rounding are equal.
    return (density >= least * (1 - 1e-9)) & (density > 0)


def _falling(
    heat_of: npt.NDArray[np.float64],
    density: npt.NDArray[np.float64],
    pages: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Heat and density of the folios, the densest first."""
    if pages.min() == pages.max():  # which of equal ones is first makes no difference
        falling = np.sort(heat_of)[::-1]
        return falling, falling / pages[0]
    order = np.argsort(-density, kind="stable")
    return heat_of[order], density[order]
