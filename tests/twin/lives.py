"""Lives of a machine: accesses, sweeps, and all that may change between them.

A twin goes along with two engines of its own kind: one whose machine is arrays, one that
has to ask its machine for every batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import EINVAL
from random import Random
from typing import Any

import numpy as np

from pghot.engine import page_flags
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.fidelity import V7, V8, Fidelity
from pghot.engine.vmstat import NODE_COUNTERS
from pghot.log.machine import Machine
from tests.twin import engine as twins
from tests.twin.cases import (
    BATCHES,
    LIMITS,
    MODES,
    WINDOWS,
    in_v8s_range,
    make_machine,
    make_pool,
)
from tests.twin.compare import LAYOUTS
from tests.twin.engine import NOWHERE, SECTION
from tests.twin.records import LAYOUTS as TWIN_LAYOUTS
from tests.twin.throttle import Throttle

ROWS = (1, 2, 64, 127, 128, 129, 200, 256, 300)
"""Around the 128 rows that the recorder takes together."""
PACES = (0, 0, 0, 1, 3, 40, 700, 5000)
NIDS = (77, 1023, 1024, 5000, -2)
SOURCES = (0, 1, 0, 1, 0, 1, 0, 1, 2, -1, 127)
COUNTS = (1, 1, 1, 2, 3, 6, 7, 8, 255, (1 << 32) - 1, 0)
PAGE_FLAGS = (page_flags.OFFLINE, page_flags.ZONE_DEVICE)
FOLIO_FLAGS = (page_flags.UNREFERENCED, page_flags.OFF_LRU, page_flags.UNMOVABLE)
PGDAT = {
    "success": "pgpromote_success",
    "candidate": "pgpromote_candidate",
    "candidate_nrl": "pgpromote_candidate_nrl",
    "threshold": "nbp_threshold",
    "threshold_start": "nbp_th_start",
    "threshold_candidates": "nbp_th_nr_cand",
    "limit_start": "nbp_rl_start",
    "limit_candidates": "nbp_rl_nr_cand",
}


class AskedMemory(ArrayMemory):
    """An array machine that is asked for each batch, as a live host is."""

    def mover(self, _most: int) -> None:
        return None


class Living:
    """An engine, and what came of it."""

    def __init__(self, memory: ArrayMemory, mode: str, hz: int, fidelity: Fidelity) -> None:
        self.memory = memory
        self.engine = Engine(memory, LAYOUTS[mode], hz=hz, fidelity=fidelity)
        self.engine.start()
        self.batches = 0
        self.promotions: list[twins.Promotion] = []

    def look(self, time_us: int, jiffies: int) -> None:
        for batch in self.engine.look(jiffies):
            where = batch.from_nid, batch.to_nid, batch.memcg, self.batches
            assert batch.pages_moved == batch.pages[batch.moved].sum()
            self.promotions += [
                twins.Promotion(time_us, pfn, pages, *where)
                for pfn, pages in zip(
                    batch.pfns[batch.moved].tolist(),
                    batch.pages[batch.moved].tolist(),
                    strict=True,
                )
            ]
            self.batches += 1

    def seen(self, nids: Iterable[int]) -> dict[str, Any]:
        engine = self.engine
        pfns, records = engine.hot_map.nonzero()
        return {
            "records": list(zip(pfns.tolist(), records.tolist(), strict=True)),
            "hot_sections": engine.hot_map.hot_sections().tolist(),
            "activate": [nid for nid in nids if engine.activate[nid]],
            "vmstat": {
                name: value
                for name, value in engine.vmstat.as_dict().items()
                if value and name not in NODE_COUNTERS
            },
            "pgdat": {
                nid: [int(engine.pgdat[nid][name]) for name in PGDAT.values()] for nid in nids
            },
            "free": [self.memory.free_pages(nid) for nid in nids],
            "promotions": self.promotions,
            "batches": self.batches,
        }


class Life:
    """One machine three times, and a clock in jiffies; each step draws what happens."""

    counted = True
    """Whether accesses may have a count, and come as ranges."""

    def __init__(self, seed: int, *, v8: bool = False) -> None:
        self.v8 = v8
        self.rng = Random(seed)
        self.mode = self.rng.choice(MODES)
        self.machine: Machine = make_machine(self.rng)
        self.hz = self.machine.hz
        self.now = self.rng.choice((0, 0, 5, (1 << 32) * self.hz // 1000 - 9000, 1 << 50))
        layout = TWIN_LAYOUTS[self.mode](self.hz, ready_anew=v8)
        self.twin = twins.Engine(self.machine, layout, Throttle(layout), set(), lower_maps_only=v8)
        fidelity = V8 if v8 else V7
        self.living = [
            Living(kind(self.machine.nodes, self.machine.folios), self.mode, self.hz, fidelity)
            for kind in (ArrayMemory, AskedMemory)
        ]
        self.pool = make_pool(self.rng, self.machine, self.rng.choice((1, 5, 40, 150)))
        if self.rng.random() < 0.4:
            self.pool += self.pages_at_edges()
        self.fast = [node.id for node in self.machine.nodes if node.toptier]
        self.nids = [node.id for node in self.machine.nodes]
        self.write("enabled_sources", self.rng.choice((3, 3, 3, 1)))
        self.write("target_nid", self.rng.choice(self.fast))

    def pages_at_edges(self) -> list[int]:
        """The pages on both sides of every edge between two lower-tier sections of a node."""
        return [
            edge + side
            for node in self.machine.nodes
            if not node.toptier
            for start, end in node.ranges
            for edge in range((start // SECTION + 1) * SECTION, end, SECTION)
            for side in (-1, 0)
        ]

    def live(self, steps: int) -> None:
        """Take steps; all agree after each."""
        happenings = (
            *[self.touch] * 7,
            *([self.touch_range] if self.counted else []),
            *[self.look] * 4,
            self.tune,
            self.change_facts,
            self.replug,
            self.demote,
            self.compact,
            self.switch_node,
        )
        for _ in range(steps):
            self.rng.choice(happenings)()
            self.agree()

    def agree(self) -> None:
        twin = self.seen_by_twin()
        for living in self.living:
            ours = living.seen(self.nids)
            for what in twin:
                assert ours[what] == twin[what], what

    def seen_by_twin(self) -> dict[str, Any]:
        nodes, sections = self.twin.nodes, self.twin.sections.values()
        return {
            "records": sorted(item for section in sections for item in section.records.items()),
            "hot_sections": sorted(section.number for section in sections if section.hot),
            "activate": [nid for nid in self.nids if nodes[nid].work_requested],
            "vmstat": {name: value for name, value in self.twin.vmstat.items() if value},
            "pgdat": {nid: [getattr(nodes[nid], name) for name in PGDAT] for nid in self.nids},
            "free": [nodes[nid].free_pages for nid in self.nids],
            "promotions": self.twin.promotions,
            "batches": self.twin.batches,
        }

    # What happens.

    def touch(self) -> None:
        """Record runs of accesses that agree in node and source, odd ones among them."""
        rng, rows = self.rng, []
        pick = COUNTS if self.counted and rng.random() < 0.4 else (1,)
        ends = [end for node in self.machine.nodes for _start, end in node.ranges]
        outside = [pfn for pfn in (*ends, 1 << 40) if self.twin.home_of(pfn) == NOWHERE]
        outside.append((1 << 64) - 1)
        for _ in range(rng.choice((1, 1, 2, 4))):
            nid = rng.choice((-1, *self.fast) if rng.random() < 0.75 else (*self.nids, *NIDS))
            source, pace = rng.choice(SOURCES), rng.choice(PACES)
            pool = self.pool if rng.random() < 0.7 else self.pool[: rng.choice((1, 2, 3))]
            for _ in range(rng.choice(ROWS)):
                self.now += rng.randrange(2 * pace + 1)
                pfn = rng.choice(pool if rng.random() < 0.997 else outside)
                rows.append((pfn, nid, source, self.now, rng.choice(pick)))
        types = (np.uint64, np.int16, np.int8, np.uint64, np.uint32)
        columns = [np.array(c, t) for c, t in zip(zip(*rows, strict=True), types, strict=True)]
        refused = self.recorded_by_twin(rows)
        count = columns.pop() if pick != (1,) or rng.random() < 0.3 else None
        for living in self.living:
            assert living.engine.record_many(*columns[:4], count=count) == refused

    def touch_range(self) -> None:
        """Record a range of pages, some of it outside, as a hotness unit reports."""
        pfn = max(self.rng.choice(self.pool) - self.rng.choice((0, 0, 1, 40)), 0)
        pages, nr = self.rng.choice((0, 1, 2, 3, 64, 600)), self.rng.choice(COUNTS)
        self.now += self.rng.choice(PACES)
        nid, source = self.rng.choice((-1, *self.fast, *NIDS)), self.rng.choice(SOURCES)
        try:
            recorded = self.twin.record_range(pfn, pages, nid, source, nr, self.now)
        except twins.RefusedError:
            recorded = -EINVAL
        for living in self.living:
            ours = living.engine.record_range(pfn, pages, nid, source, nr, self.now)
            assert ours == recorded

    def recorded_by_twin(self, rows: list[tuple[int, int, int, int, int]]) -> int:
        refused = 0
        for row in rows:
            try:
                self.twin.record_access(*row)
            except twins.RefusedError:
                refused += 1
        return refused

    def look(self) -> None:
        """Let every kmigrated look, a moment or a turn of the wheel later."""
        hz = self.hz
        self.now += self.rng.choice((0, 1, 100, 130, hz, hz + 1, 2 * hz, 61 * hz, 4096, 16384))
        time_us = self.now * 1_000_000 // hz
        for nid in sorted(self.nids):
            node = self.twin.nodes[nid]
            if not node.toptier:
                self.twin.kmigrated_wakes(node, time_us, self.now)
        for living in self.living:
            living.look(time_us, self.now)

    def tune(self) -> None:
        rng = self.rng
        choices = {
            "freq_threshold": range(1, 4),
            "enabled_sources": range(4),
            "kmigrated_batch_nr": BATCHES,
            "pghot_promote_freq_window_ms": WINDOWS,
            "pghot_promote_rate_limit_MBps": LIMITS,
            "target_nid": [nid for nid in self.fast if nid not in self.twin.offline_nids],
            "numa_balancing": range(4),
        }
        name = rng.choice(sorted(name for name, values in choices.items() if values))
        self.write(name, rng.choice(choices[name]))

    def write(self, name: str, value: int) -> None:
        if self.v8:
            value = in_v8s_range(name, value, self.mode)
        twin, layout = self.twin, self.twin.layout
        match name:
            case "freq_threshold":
                layout.freq_threshold = value
            case "enabled_sources":
                twin.sources = {bit for bit in (0, 1) if value >> bit & 1}
            case "kmigrated_batch_nr":
                twin.batch_nr = value
            case "pghot_promote_freq_window_ms":
                layout.window_ms = value
            case "pghot_promote_rate_limit_MBps":
                twin.throttle.rate_limit_mbps = value
            case "target_nid":
                layout.target_nid = value
            case "numa_balancing":
                if value & ~self.living[0].engine.tunables[name] & 2:
                    for node in twin.nodes.values():
                        twin.throttle.reset(node, self.now)
        for living in self.living:
            living.engine.write(name, str(value), self.now)

    def change_facts(self) -> None:
        """Flag a page, or the folio that it is in, or take a flag away."""
        pfn, on = self.rng.choice(self.pool), self.rng.random() < 0.6
        flag = self.rng.choice(PAGE_FLAGS + FOLIO_FLAGS)
        folio = self.twin.folio_of(pfn)
        if flag in PAGE_FLAGS:
            known, at = self.twin.not_online, pfn
            flag = flag if on else page_flags.NOT_ONLINE
        else:
            known, at = self.twin.unreferenced, folio.pfn
            known = self.twin.unmovable if flag == page_flags.UNMOVABLE else known
        if flag == page_flags.OFF_LRU:
            folio.lru = not on
        elif on:
            known.add(at)
        else:
            known.discard(at)
        for living in self.living:
            living.memory.mem_map.set_flags(at, flag, on=on)

    def replug(self) -> None:
        """Take a section offline, and often online again."""
        number, back = self.rng.choice(self.pool) // SECTION, self.rng.random() < 0.6
        self.twin.go_offline(number)
        if back:
            self.twin.go_online(number)
        for living in self.living:
            living.engine.memory_offline(number * SECTION, SECTION)
            if back:
                assert living.engine.memory_going_online(number * SECTION, SECTION) == 0

    def demote(self) -> None:
        """Put a folio on any node, as reclaim or a user may."""
        folio, nid = self.twin.folio_of(self.rng.choice(self.pool)), self.rng.choice(self.nids)
        folio.nid = nid
        for living in self.living:
            living.memory.mem_map.move_folio(folio.pfn, nid)

    def compact(self) -> None:
        """Make a folio of pages that have records of their own, often over two sections."""
        pages = self.rng.choice((2, 3, 16, 64))
        pfn = self.rng.choice(self.pool)
        start = pfn - self.rng.randrange(pages)
        if self.rng.random() < 0.5:
            start = (pfn + 1) // SECTION * SECTION - self.rng.choice((1, pages // 2))
        span = range(max(start, 0), start + pages)
        if self.are_ordinary(span):
            memcg = self.rng.randrange(3)
            self.twin.make_folio(span.start, len(span), memcg)
            for living in self.living:
                living.memory.mem_map.set_folio(span.start, len(span), memcg)

    def are_ordinary(self, span: range) -> bool:
        """Whether a folio can be made of them: one node's, and nothing to be said of any."""
        twin = self.twin
        known = twin.special.keys() | twin.not_online | twin.unreferenced | twin.unmovable
        homes = {twin.home_of(pfn) for pfn in span}
        return (
            len(span) > 1
            and len(homes) == 1
            and NOWHERE not in homes
            and known.isdisjoint(span)
            and all(twin.folio_of(p).lru and {twin.folio_of(p).nid} == homes for p in span)
        )

    def switch_node(self) -> None:
        """Take a top-tier node offline, or online again."""
        nid = self.rng.choice(self.fast)
        self.twin.offline_nids ^= {nid}
        for living in self.living:
            living.memory.offline ^= {nid}
            living.engine.nodes_changed()
