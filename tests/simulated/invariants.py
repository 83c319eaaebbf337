"""What always holds of a simulated machine."""

from __future__ import annotations

import numpy as np

from pghot.simulated.machine.frames import NONE
from pghot.simulated.machine.memory import SimulatedMemory


def check_memory(memory: SimulatedMemory) -> None:
    """Fail where a folio is not on exactly one node, or the free pages do not add up."""
    placed = np.flatnonzero(memory.folios.pfn != NONE)
    pfn, nid, pages = (column[placed] for column in memory.folios[:3])
    frames = (
        np.repeat(pfn, pages) + np.arange(pages.sum()) - np.repeat(np.cumsum(pages) - pages, pages)
    )
    assert len(np.unique(frames)) == len(frames), "two folios share a frame"
    for node in (memory.all[nid] for nid in memory.nodes()):
        inside = (pfn >= node.start_pfn) & (pfn < node.start_pfn + node.frames)
        assert np.array_equal(nid == node.id, inside), f"folios of node {node.id} are elsewhere"
        used = int(pages[nid == node.id].sum())
        assert memory.free_pages(node.id) == node.pages - used, f"free pages of node {node.id}"
    assert np.array_equal(memory.folio_of[pfn], placed), "the reverse map is wrong"
    mem_map = memory.mem_map
    for folio in placed[:: max(len(placed) // 64, 1)].tolist():
        start = int(memory.folios.pfn[folio])
        assert mem_map.folio_nid(start) == memory.folios.nid[folio]
        assert mem_map.folio_pfn(start + int(memory.folios.pages[folio]) - 1) == start
