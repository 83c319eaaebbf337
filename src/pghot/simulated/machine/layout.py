"""From a scenario's tables to nodes, frames and folios."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pghot.engine.lists import parse_list
from pghot.engine.page_flags import OFF_LRU, UNMOVABLE
from pghot.engine.sizes import parse_size
from pghot.engine.units import PAGE_SHIFT, PAGES_PER_SECTION
from pghot.simulated.machine.memory import SimNode, SimulatedMemory, frames_needed
from pghot.simulated.machine.watermarks import Watermarks, watermarks
from pghot.simulated.scenario.scenario import NodeTable, RegionTable, Scenario


def lay_out(scenario: Scenario) -> SimulatedMemory:
    """The memory of a scenario, its regions not yet in it."""
    tables = sorted(scenario.node, key=lambda table: table.id)
    sizes = [parse_size(table.size) >> PAGE_SHIFT for table in tables]
    wanted = sum(count * pages for count, pages in map(folios_of, scenario.region))
    start, nodes = 0, []
    for table, pages in zip(tables, sizes, strict=True):
        nodes.append(
            SimNode(
                id=table.id,
                start_pfn=start,
                pages=pages,
                frames=frames_needed(pages, wanted),
                toptier=table.toptier,
                cpus=parse_list(table.cpus),
                wmark=_watermarks(table, pages, sum(sizes)),
            )
        )
        start += -(-pages // PAGES_PER_SECTION) * PAGES_PER_SECTION + PAGES_PER_SECTION
    return SimulatedMemory(nodes, absent=scenario.absent)


def folios_of(table: RegionTable) -> tuple[int, int]:
    """The folios of a region and the pages of each."""
    pages = 1 << table.order
    return max((parse_size(table.size) >> PAGE_SHIFT) // pages, 1), pages


def folio_flags(table: RegionTable, count: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The flags of a region's folios; which ones are special is drawn."""
    flags = np.zeros(count, np.uint8)
    for share, flag in ((table.unmovable, UNMOVABLE), (table.off_lru, OFF_LRU)):
        if share:
            flags[rng.random(count) < share] |= flag
    return flags


def _watermarks(table: NodeTable, pages: int, all_pages: int) -> Watermarks:
    known = watermarks(pages, all_pages)
    own = (table.min_wmark, table.low_wmark, table.high_wmark, table.promo_wmark)
    return Watermarks(*(k if o is None else o for k, o in zip(known, own, strict=True)))
