"""Where a curve bends: beyond it, more memory brings less than it did on the average so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LEAST = 0.1
"""How far above the straight line a knee is at the least; a straight curve has none."""


def knee(sizes: npt.NDArray[np.int64], share: npt.NDArray[np.float64]) -> int | None:
    """The size at the knee of a rising curve; None where it has none.

    The size at which the curve, both axes from 0 to 1, is farthest above the line from its
    start to its end: Satopaa, Albrecht, Irwin, Raghavan, "Finding a 'Kneedle' in a Haystack",
    2011, without smoothing.
    """
    rise = float(share[-1] - share[0]) if len(share) else 0.0
    width = int(sizes[-1] - sizes[0]) if len(sizes) else 0
    if rise <= 0 or width <= 0:
        return None
    above = (share - share[0]) / rise - (sizes - sizes[0]) / width
    at = int(np.argmax(above))
    return int(sizes[at]) if above[at] >= LEAST else None
