"""Small machines for the engine's tests."""

from __future__ import annotations

from collections.abc import Iterable

from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.fidelity import V7, Fidelity
from pghot.engine.layout import DEFAULT, Layout
from pghot.engine.memory import Folio, Node
from pghot.engine.migrated import Batch
from pghot.engine.units import PAGES_PER_SECTION

FAST, SLOW = 0, 1
SLOW_PFN = 8 * PAGES_PER_SECTION
SECTION = PAGES_PER_SECTION
HWHINT, HINTFAULT = 1, 0


def node(nid: int, start: int, sections: int, *, top: bool, free: int = 0, wmark: int = 0) -> Node:
    return Node(nid, start, sections * SECTION, top, free_pages=free, promo_wmark=wmark)


class Rig:
    """A started engine over a two-tier machine, and a clock in jiffies."""

    def __init__(
        self,
        layout: Layout = DEFAULT,
        *,
        fidelity: Fidelity = V7,
        hz: int = 1000,
        free: int = 100_000,
        wmark: int = 0,
        fast_sections: int = 8,
        slow_sections: int = 4,
        folios: Iterable[Folio] = (),
        nodes: Iterable[Node] | None = None,
        tunables: dict[str, str] | None = None,
        start: bool = True,
    ) -> None:
        if nodes is None:
            nodes = (
                node(FAST, 0, fast_sections, top=True, free=free, wmark=wmark),
                node(SLOW, SLOW_PFN, slow_sections, top=False),
            )
        self.memory = ArrayMemory(nodes, folios)
        self.engine = Engine(self.memory, layout, hz=hz, fidelity=fidelity)
        self.engine.write("enabled_sources", "0x3")
        for name, text in (tunables or {}).items():
            self.engine.write(name, text)
        if start:
            self.engine.start()

    def touch(self, *pfns: int, now: int, times: int = 1, nid: int = FAST, source: int = HWHINT):
        for _ in range(times):
            for pfn in pfns:
                assert self.engine.record(pfn, nid, source, now) == 0

    def look(self, now: int) -> list[Batch]:
        return list(self.engine.look(now))

    def record_of(self, pfn: int) -> int:
        place = self.memory.mem_map.index(pfn)
        return int(self.engine.hot_map.records[place])

    def nid_of(self, pfn: int) -> int:
        return self.memory.mem_map.folio_nid(pfn)

    def stat(self, name: str) -> int:
        return self.engine.vmstat[name]
