"""What `pghot replay` must do with a log (R9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from pghot.log.machine import Machine
from tests.twin.engine import HINTFAULT, HWHINT, Engine, RefusedError
from tests.twin.records import LAYOUTS
from tests.twin.throttle import Throttle

Row = tuple[int, ...]
"""time_us, pfn, nid, source, and nr where the log has it."""

SOURCE_NAMES = {"hintfault": HINTFAULT, "hwhint": HWHINT}


class Replay:
    """A whole replay, done once it is made."""

    def __init__(
        self,
        rows: Iterable[Row],
        machine: Machine,
        mode: str,
        tunables: Mapping[str, int],
        sources: Iterable[str] | None = None,
        *,
        v8: bool = False,
    ) -> None:
        rows = list(rows)
        self.machine = machine
        self.accesses = len(rows)
        self.elapsed_us = 0
        layout = LAYOUTS[mode](machine.hz, ready_anew=v8)
        throttle = Throttle(layout)
        enabled = (
            {row[3] for row in rows} if sources is None else {SOURCE_NAMES[s] for s in sources}
        )
        self.engine = Engine(machine, layout, throttle, enabled, lower_maps_only=v8)
        self.sleep_us = 100_000
        for name, value in tunables.items():
            self.set(name, value)
        self.run(rows)

    def set(self, name: str, value: int) -> None:
        engine = self.engine
        match name:
            case "freq_threshold":
                engine.layout.freq_threshold = value
            case "target_nid":
                engine.layout.target_nid = value
            case "pghot_promote_freq_window_ms":
                engine.layout.window_ms = value
            case "pghot_promote_rate_limit_MBps" | "numa_balancing_promote_rate_limit_MBps":
                engine.throttle.rate_limit_mbps = value
            case "kmigrated_batch_nr":
                engine.batch_nr = value
            case "kmigrated_sleep_ms":
                # No sleep at all: a look at every tick of the clock.
                self.sleep_us = value * 1000 or 1_000_000 // self.machine.hz
            case _:
                raise AssertionError(name)

    def jiffies(self, time_us: int) -> int:
        return time_us * self.machine.hz // 1_000_000

    def run(self, rows: list[Row]) -> None:
        """Record the rows up to each instant, then let every kmigrated look.

        A look with no access before it finds no work: the one before it left none.
        """
        for look, group in groupby(rows, lambda row: max(1, -(-row[0] // self.sleep_us))):
            for time_us, pfn, nid, source, *nr in group:
                try:
                    self.engine.record_access(pfn, nid, source, self.jiffies(time_us), *nr)
                except RefusedError:
                    continue
            now_us = look * self.sleep_us
            for nid in sorted(self.engine.nodes):
                node = self.engine.nodes[nid]
                if not node.toptier and node.pages:
                    self.engine.kmigrated_wakes(node, now_us, self.jiffies(now_us))
            self.elapsed_us = now_us

    def vmstat(self) -> dict[str, int]:
        """Counters that are not zero, by their names in /proc/vmstat."""
        nodes = self.engine.nodes.values()
        counters = dict(self.engine.vmstat)
        counters["pgpromote_success"] = sum(node.success for node in nodes)
        counters["pgpromote_candidate"] = sum(node.candidate for node in nodes)
        counters["pgpromote_candidate_nrl"] = sum(node.candidate_nrl for node in nodes)
        return {name: value for name, value in counters.items() if value}

    def nodes(self) -> dict[int, dict[str, int]]:
        return {
            node.id: {
                "pgpromote_success": node.success,
                "pgpromote_candidate": node.candidate,
                "pgpromote_candidate_nrl": node.candidate_nrl,
                "free_pages": node.free_pages,
                "nbp_threshold": node.threshold,
            }
            for node in self.engine.nodes.values()
        }

    def records(self) -> list[tuple[int, int]]:
        """Every record that is not zero, in PFN order."""
        return sorted(
            item for section in self.engine.sections.values() for item in section.records.items()
        )

    def hot_sections(self) -> list[int]:
        return sorted(s.number for s in self.engine.sections.values() if s.hot)
