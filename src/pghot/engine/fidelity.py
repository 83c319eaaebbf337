"""Where the fidelities differ, all of it (numbers: the defects of the series).

`V7` keeps every rule of the series.  `V8` is its later posting, rule by rule as well (R12).
`IMPROVED` mends of v7 what can be mended without changing what users know by name.  Nothing
else in the engine asks which of them it serves.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fidelity:
    """One switch a mended defect or a rule that v8 changed; all off is v7 as it was posted.

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
    ready_anew: an update starts from an empty record: whether it is ready follows from the
        update's own frequency, and the bits without a field are zero (R12.1, R12.2).
    lower_maps_only: memory of the top tier that comes online gets no hot maps (defect 15,
        R12.4).
    v8_files: tunables are where v8 has them, with its parsers, ranges and defaults (defect 7,
        R12.5 to R12.11).
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
    ready_anew: bool = False
    lower_maps_only: bool = False
    v8_files: bool = False


V7 = Fidelity("v7")
V8 = Fidelity("v8", ready_anew=True, lower_maps_only=True, v8_files=True)
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
FIDELITIES = {fidelity.name: fidelity for fidelity in (V7, V8, IMPROVED)}
