"""Where the two fidelities differ, all of it (numbers: the defects of the series).

`V7` keeps every rule of the series.  `IMPROVED` mends what can be mended without changing
what users know by name.  Nothing else in the engine asks which of the two it serves.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One switch a mended defect; all off is the series as it was posted.

    expire_records: records older than the window are cleared before their time field wraps
        (defect 2); windows too long for the record are refused.
    keep_refused: a candidate that the throttle, isolation or migration refuses keeps its
        record and is looked at again at the next wake-up (defect 8).
    least_sleep_ms: `kmigrated_sleep_ms` below this many pauses for this many (defect 5).
    hottest_first: a pass takes its candidates by frequency, then recency, not in PFN order,
        and a batch moves them in that order (defect 9).
    exact_batch: a batch holds `kmigrated_batch_nr` folios, not one more (defect 6).
    follow_hotplug: a lower-tier node that comes online after boot gets its kmigrated
        (defect 4).
    check_target: a folio moves only to an online top-tier node, and the default
        `target_nid` is one (defects 1 and 16).
    fault_latency: a hint fault whose latency is known counts by it (`fault_latency`).
    nearest_target: a page goes to the nearest top-tier node, with room, of the CPU that
        accessed it last, in both modes (defect 12); an access from a CPU on another node is
        no error (R2.2).
    """

    name: str
    expire_records: bool = False
    keep_refused: bool = False
    least_sleep_ms: int = 0
    hottest_first: bool = False
    exact_batch: bool = False
    follow_hotplug: bool = False
    check_target: bool = False
    fault_latency: bool = False
    nearest_target: bool = False


V7 = Fidelity("v7")
IMPROVED = Fidelity(
    "improved",
    expire_records=True,
    keep_refused=True,
    least_sleep_ms=10,
    hottest_first=True,
    exact_batch=True,
    follow_hotplug=True,
    check_target=True,
    fault_latency=True,
    nearest_target=True,
)
FIDELITIES = {fidelity.name: fidelity for fidelity in (V7, IMPROVED)}
