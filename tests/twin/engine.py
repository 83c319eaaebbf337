"""Recording accesses and promoting what is hot (R2, R3)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from pghot.log.machine import Machine
from tests.twin.records import Compact, Precise
from tests.twin.throttle import NodeState, Throttle

SECTION = 32768
NOWHERE = -1
HINTFAULT, HWHINT = 0, 1
COUNTER_OF_SOURCE = {HINTFAULT: "pghot_recorded_hintfaults", HWHINT: "pghot_recorded_hwhints"}


class RefusedError(ValueError):
    """What the series answers with EINVAL."""


class Promotion(NamedTuple):
    """One folio moved."""

    time_us: int
    pfn: int
    pages: int
    from_nid: int
    to_nid: int
    memcg: int
    batch: int


@dataclass
class FolioState:
    """A folio, and the node it is on now."""

    pfn: int
    pages: int
    memcg: int
    lru: bool
    nid: int


@dataclass
class Section:
    """A section of a lower-tier node: its non-zero records by PFN, and whether it is hot.

    `special` are its PFNs that belong to folios of the machine file.
    """

    number: int
    nid: int
    records: dict[int, int] = field(default_factory=dict)
    special: set[int] = field(default_factory=set)
    hot: bool = False


class Engine:
    def __init__(
        self,
        machine: Machine,
        layout: Compact | Precise,
        throttle: Throttle,
        sources: set[int],
        batch_nr: int = 512,
        *,
        lower_maps_only: bool = False,
    ) -> None:
        self.lower_maps_only = lower_maps_only
        """Whether memory of the top tier that comes online gets no hot map (R12.4)."""
        self.layout = layout
        self.throttle = throttle
        self.sources = sources
        self.batch_nr = batch_nr
        self.nodes = {
            node.id: NodeState(
                node.id,
                node.ranges,
                sum(end - start for start, end in node.ranges),
                node.toptier,
                node.free_pages,
                node.promo_wmark,
            )
            for node in machine.nodes
        }
        self.toptier_nids = {node.id for node in machine.nodes if node.toptier}
        self.sections = {
            number: Section(number, node.id)
            for node in machine.nodes
            if not node.toptier
            for start, end in node.ranges
            for number in range(start // SECTION, (end - 1) // SECTION + 1)
        }
        self.special: dict[int, FolioState] = {}
        """The folio of every page that the machine file names, tail pages included."""
        for folio in machine.folios:
            state = FolioState(
                folio.pfn, folio.pages, folio.memcg, folio.lru, self.home_of(folio.pfn)
            )
            for pfn in range(folio.pfn, folio.pfn + folio.pages):
                self.special[pfn] = state
                if pfn // SECTION in self.sections:
                    self.sections[pfn // SECTION].special.add(pfn)
        self.ordinary: dict[int, FolioState] = {}
        """Ordinary pages that were looked at."""
        self.offline_nids: set[int] = set()
        self.not_online: set[int] = set()
        """PFNs of no online page, zone-device ones too."""
        self.unreferenced: set[int] = set()
        """First PFNs of folios that nobody can get a reference to."""
        self.unmovable: set[int] = set()
        """First PFNs of folios that cannot be isolated."""
        self.vmstat: Counter[str] = Counter()
        self.promotions: list[Promotion] = []
        self.batches = 0

    def home_of(self, pfn: int) -> int:
        """The node of which a range in the machine file holds the PFN, -1 where none does."""
        for node in self.nodes.values():
            if any(start <= pfn < end for start, end in node.ranges):
                return node.id
        return NOWHERE

    def owner_of(self, number: int) -> int:
        """The node that has pages of a section, which no other has."""
        start, end = number * SECTION, (number + 1) * SECTION
        return next(
            node.id
            for node in self.nodes.values()
            if any(first < end and start < last for first, last in node.ranges)
        )

    def make_folio(self, pfn: int, pages: int, memcg: int) -> None:
        """Make a folio of ordinary pages; their records stay where they are."""
        state = FolioState(pfn, pages, memcg, True, self.home_of(pfn))
        for page in range(pfn, pfn + pages):
            self.ordinary.pop(page, None)
            self.special[page] = state
            if page // SECTION in self.sections:
                self.sections[page // SECTION].special.add(page)

    def go_offline(self, number: int) -> None:
        """A section's hot map is freed, and with it its records and its flag."""
        self.sections.pop(number, None)

    def go_online(self, number: int) -> None:
        """A section of any tier gets a hot map where it has none; in v8 of a lower one."""
        if self.lower_maps_only and self.owner_of(number) in self.toptier_nids:
            return
        special = {pfn for pfn in self.special if pfn // SECTION == number}
        fresh = Section(number, self.owner_of(number), special=special)
        self.sections.setdefault(number, fresh)

    def steps_by_one(self, pfn: int, folio: FolioState) -> bool:
        """Whether the sweep learns nothing of a page, not even its folio's size."""
        return pfn in self.not_online or folio.pfn in self.unreferenced

    def folio_of(self, pfn: int) -> FolioState:
        if pfn in self.special:
            return self.special[pfn]
        if pfn not in self.ordinary:
            self.ordinary[pfn] = FolioState(pfn, 1, 0, True, self.home_of(pfn))
        return self.ordinary[pfn]

    def record_access(self, pfn: int, nid: int, source: int, jiffies: int, nr: int = 1) -> None:
        if self.takes(nid, source, nr):
            self.vmstat[COUNTER_OF_SOURCE[source]] += 1
            self.record_page(pfn, nid, jiffies, nr)

    def record_range(
        self, pfn: int, pages: int, nid: int, source: int, nr: int, jiffies: int
    ) -> int:
        if pages == 0:
            raise RefusedError("no page")
        if not self.takes(nid, source, nr):
            return 0
        self.vmstat[COUNTER_OF_SOURCE[source]] += 1
        done: list[FolioState] = []
        recorded = 0
        for page in range(pfn, pfn + pages):
            if self.home_of(page) != NOWHERE and self.folio_of(page) not in done:
                done.append(self.folio_of(page))
                recorded += self.record_page(page, nid, jiffies, nr)
        return recorded

    def takes(self, nid: int, source: int, nr: int) -> bool:
        """Whether the source is enabled; RefusedError where the access says what cannot be."""
        if nr == 0:
            raise RefusedError("no access")
        if not self.layout.nid_is_storable(nid, self.toptier_nids - self.offline_nids):
            raise RefusedError(f"node {nid}")
        if source not in COUNTER_OF_SOURCE:
            raise RefusedError(f"source {source}")
        return source in self.sources

    def record_page(self, pfn: int, nid: int, jiffies: int, nr: int) -> bool:
        """Record so many accesses to a page; whether they were."""
        if self.home_of(pfn) == NOWHERE:
            return False
        folio = self.folio_of(pfn)
        if folio.nid == nid or folio.nid in self.toptier_nids:
            return False
        if self.steps_by_one(pfn, folio) or not folio.lru:
            return False
        section = self.sections.get(folio.pfn // SECTION)
        if section is None:
            return False
        self.vmstat["pghot_recorded_accesses"] += min(nr, self.layout.MAX_FREQ)
        record = self.layout.after_access(section.records.get(folio.pfn, 0), nid, jiffies, nr)
        section.records[folio.pfn] = record
        if record & self.layout.READY:
            section.hot = True
            self.nodes[folio.nid].work_requested = True
        return True

    def kmigrated_wakes(self, node: NodeState, time_us: int, jiffies: int) -> None:
        while node.work_requested:
            node.work_requested = False
            for number in sorted(self.sections):
                section = self.sections[number]
                if section.nid == node.id and section.hot:
                    section.hot = False
                    Walk(self, section, time_us, jiffies).run()


class Walk:
    """One walk of kmigrated over one section."""

    def __init__(self, engine: Engine, section: Section, time_us: int, jiffies: int) -> None:
        self.engine = engine
        self.section = section
        self.time_us = time_us
        self.jiffies = jiffies
        self.isolated: list[FolioState] = []
        """The last isolated comes first, as on the series' list."""
        self.target: int | None = None
        self.memcg = 0
        self.count = 0

    def run(self) -> None:
        """Step through the section by folio size, also from a tail page.

        Ordinary pages with nothing recorded are left out: they are one step and no more.
        """
        next_pfn = 0
        for pfn in sorted(self.section.special | self.section.records.keys()):
            if pfn >= next_pfn:
                folio = self.engine.folio_of(pfn)
                next_pfn = pfn + 1
                if not self.engine.steps_by_one(pfn, folio):
                    self.visit(pfn, folio)
                    next_pfn = pfn + folio.pages
        self.flush()

    def visit(self, pfn: int, folio: FolioState) -> None:
        engine = self.engine
        if folio.nid != self.section.nid or not folio.lru:
            return
        record = self.section.records.get(pfn, 0)
        if not record & engine.layout.READY:
            return
        del self.section.records[pfn]
        target, time = engine.layout.target_and_time(record)
        if target == folio.nid:
            return
        to = engine.nodes[target]
        if not engine.throttle.lets_pass(folio.pages, to, time, self.jiffies):
            return
        if to.free_pages < folio.pages or folio.pfn in engine.unmovable:  # cannot be isolated
            return
        if self.target is None:
            self.target, self.memcg = target, folio.memcg
        if (self.target, self.memcg) != (target, folio.memcg):
            self.flush()
            self.target, self.memcg = target, folio.memcg
        self.isolated.insert(0, folio)
        self.count += 1
        if self.count > engine.batch_nr:
            self.flush()

    def flush(self) -> None:
        self.count = 0
        if not self.isolated:
            return
        engine = self.engine
        to = engine.nodes[self.target]
        for folio in self.isolated:
            if to.free_pages < folio.pages:
                continue  # put back
            source = engine.nodes[folio.nid]
            to.free_pages -= folio.pages
            source.free_pages += folio.pages
            engine.promotions.append(
                Promotion(
                    self.time_us,
                    folio.pfn,
                    folio.pages,
                    source.id,
                    to.id,
                    folio.memcg,
                    engine.batches,
                )
            )
            folio.nid = to.id
            to.success += folio.pages
            engine.vmstat["numa_pages_migrated"] += folio.pages
        self.isolated = []
        engine.batches += 1
