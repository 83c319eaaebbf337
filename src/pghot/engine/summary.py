"""What an engine came to, by the names of R10.4: of a replay as of a live run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.engine import Engine
from pghot.engine.units import USEC_PER_SEC
from pghot.engine.vmstat import NODE_COUNTERS


def summary(
    engine: Engine, free_pages: Mapping[int, int], *, batches: int, accesses: int, elapsed_us: int
) -> dict[str, Any]:
    """The content of summary.json, with the contract's keys and no others.

    `free_pages` are those of each node, by its id; `elapsed_us` the time of the last wake-up.
    """
    return {
        "mode": engine.layout.name,
        "hz": engine.hz,
        "tunables": engine.tunables.as_dict(),
        "vmstat": engine.vmstat.as_dict(),
        "nodes": {str(nid): _node(engine, nid, free) for nid, free in free_pages.items()},
        "batches": batches,
        "accesses": accesses,
        "elapsed_s": elapsed_us / USEC_PER_SEC,
    }


def records(engine: Engine) -> dict[str, npt.NDArray[Any]]:
    """The arrays of records.npz: PFNs and records that are not zero, hot sections."""
    pfn, record = engine.hot_map.nonzero()
    return {
        "pfn": pfn.astype(np.uint64),
        "record": record,
        "hot_sections": engine.hot_map.hot_sections(),
    }


def _node(engine: Engine, nid: int, free_pages: int) -> dict[str, int]:
    pgdat = engine.pgdat[nid]
    counters = {name: int(pgdat[name]) for name in NODE_COUNTERS}
    return counters | {"free_pages": free_pages, "nbp_threshold": int(pgdat["nbp_threshold"])}
