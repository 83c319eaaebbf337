"""The throttle of promotion, one state a target node (R4; patch 5)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.judge import room_is_free
from pghot.engine.memory import Memory
from pghot.engine.units import NID_MAX
from pghot.engine.vmstat import PGDAT


def make_pgdat() -> npt.NDArray[np.void]:
    """Give the throttle state and counters of every node id, all zero."""
    return np.zeros(NID_MAX + 1, PGDAT)


def free_space_enough(memory: Memory, nid: int) -> bool:
    """Tell whether some zone of the node has free room."""
    present = memory.present_pages(nid)
    return any(
        room_is_free(free_pages, promo_wmark, present)
        for free_pages, promo_wmark in memory.zones(nid)
    )


def reset(pgdat: npt.NDArray[np.void], now_ms: int) -> None:
    """Forget the adjusted thresholds, as switching memory tiering on does (R5.9; patch 5)."""
    pgdat["nbp_threshold"] = 0
    pgdat["nbp_th_nr_cand"] = pgdat["pgpromote_candidate"]
    pgdat["nbp_th_start"] = now_ms
