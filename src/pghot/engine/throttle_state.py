"""The state of the throttle, one a target node (R4; patch 5); its rule is in `throttle`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import Zone
from pghot.engine.throttle import headroom_is_free
from pghot.engine.units import NID_MAX
from pghot.engine.vmstat import PGDAT


def make_pgdat() -> npt.NDArray[np.void]:
    """The throttle state and counters of every node id, all zero."""
    return np.zeros(NID_MAX + 1, PGDAT)


def free_space_enough(zones: Iterable[Zone], present: int) -> bool:
    """Whether one of the zones of a node of `present` pages has headroom."""
    return any(headroom_is_free(zone.free_pages, zone.promo_wmark, present) for zone in zones)


def reset(pgdat: npt.NDArray[np.void], now_ms: int) -> None:
    """Forget the adjusted thresholds, as switching memory tiering on does (R5.9; patch 5)."""
    pgdat["nbp_threshold"] = 0
    pgdat["nbp_th_nr_cand"] = pgdat["pgpromote_candidate"]
    pgdat["nbp_th_start"] = now_ms
