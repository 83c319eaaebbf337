"""Counters by their /proc/vmstat names (R5.10)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

EVENTS = (
    "pghot_recorded_accesses",
    "pghot_recorded_hintfaults",
    "pghot_recorded_hwhints",
    "hwhint_total_events",
    "hwhint_dram_accesses",
    "hwhint_extmem_accesses",
    "hwhint_useful_events",
    "numa_pages_migrated",
    "numa_hint_faults",
    "numa_pte_updates",
)
"""Counters of the whole machine; the rest are kept a node."""

NODE_COUNTERS = ("pgpromote_success", "pgpromote_candidate", "pgpromote_candidate_nrl")

ORDER = (
    *EVENTS[:7],
    *NODE_COUNTERS,
    *EVENTS[7:],
)
"""All counters, in the order of R5.10."""

_INDEX = {name: index for index, name in enumerate(EVENTS)}

RECORDED_ACCESSES = 0
RECORDED_BY = 1
"""Indices in the event array that the recorder counts at; the second plus the source."""

PGDAT = np.dtype(
    [
        ("nbp_rl_start", np.int64),
        ("nbp_rl_nr_cand", np.int64),
        ("nbp_th_start", np.int64),
        ("nbp_th_nr_cand", np.int64),
        ("nbp_threshold", np.int64),
        ("pgpromote_success", np.int64),
        ("pgpromote_candidate", np.int64),
        ("pgpromote_candidate_nrl", np.int64),
    ]
)
"""What the series keeps in struct pglist_data: throttle state and promotion counters.

Times in ms as unsigned 32-bit values, counts in pages, the threshold in ms.
"""


class Vmstat:
    """The event counters and, by node id, the node counters."""

    def __init__(self, pgdat: npt.NDArray[np.void]) -> None:
        self.events: npt.NDArray[np.int64] = np.zeros(len(EVENTS), np.int64)
        self._pgdat = pgdat

    def __getitem__(self, name: str) -> int:
        if name in NODE_COUNTERS:
            return int(self._pgdat[name].sum())
        return int(self.events[_INDEX[name]])

    def add(self, name: str, count: int = 1) -> None:
        """Count events of the whole machine."""
        self.events[_INDEX[name]] += count

    def as_dict(self) -> dict[str, int]:
        """Every counter, in the order of R5.10."""
        return {name: self[name] for name in ORDER}
