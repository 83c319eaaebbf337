"""What the pages are that were just accessed: their folios, memcgs, and whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pghot.driving.answer_log import Values
from pghot.driving.outside_events import no_folios
from pghot.engine.memory import BoolArray, I64Array, U64Array
from pghot.engine.units import PAGE_SHIFT
from pghot.linux.pages.kpage import KPages
from pghot.linux.pages.kpf import freed, movable
from pghot.live.hot_processes import HotProcesses
from pghot.live.machine import HostMachine
from pghot.live.rmap import Rmap
from pghot.log.schema import Columns

FREED, UNMOVABLE = "of pages freed since", "of pages that cannot move"
"""Why the page of a row is not recorded, in the words of the final table."""


class PageMetadata:
    """Looks up the pages of rows before the engine records them.

    `left_out` counts rows whose page was freed since, and those whose page is none that
    could ever move: off the LRU, hugetlb, reserved (R2.6), or part of a
    folio that was torn apart while it was looked at.
    """

    def __init__(
        self, machine: HostMachine, kpages: KPages, rmap: Rmap, tally: HotProcesses | None = None
    ) -> None:
        self._machine = machine
        self._kpages = kpages
        self._rmap = rmap
        self._tally = tally
        self.wanted: Callable[[npt.NDArray[np.int32]], BoolArray] = lambda latency: latency >= -1
        """Which rows, by their latencies, can make their page ready."""
        self._scale = np.uint64(machine.topology.page_size >> PAGE_SHIFT)
        self.left_out: Counter[str] = Counter()

    def learn(self, rows: Columns) -> tuple[Columns, Values]:
        """The rows of pages that can move, and folios not known before (`Folios`).

        Of pages that cannot become ready by their row nothing is looked up: most of the cost
        of a sample is in /proc.
        """
        keep = ~self.wanted(rows["latency_us"])
        asked = np.flatnonzero(~keep)
        folios = no_folios()
        if len(asked):
            keep[asked], folios = self._look_up(rows["pfn"][asked])
        rows = {name: values[keep] for name, values in rows.items()}
        if self._tally is not None:
            self._tally.see(rows)
        return rows, folios

    def _look_up(self, pfn: U64Array) -> tuple[BoolArray, Values]:
        """Take in the folios of these pages: which of them can move, what was not known."""
        pfns, at = np.unique(pfn // self._scale, return_inverse=True)
        flags = self._kpages.flags(pfns)
        heads = self._kpages.heads(pfns, flags)
        tails = heads != pfns
        if tails.any():
            flags[tails] = self._kpages.flags(heads[tails])
        nids = self._machine.nids_of(pfns * self._scale)
        whole = self._machine.nids_of(heads * self._scale) == nids  # not torn while it was read
        gone = freed(flags)
        good: BoolArray = (movable(flags) & whole & ~gone)[at]
        self.left_out[FREED] += int(np.count_nonzero(gone[at]))
        self.left_out[UNMOVABLE] += int(np.count_nonzero(~good & ~gone[at]))
        at = at[good]
        heads, first = np.unique(heads[at], return_index=True)
        folios = self._machine.learn(
            heads * self._scale,
            self._kpages.folio_pages(heads, flags[at][first]) * self._scale,
            self._kpages.cgroups(heads),
        )
        return good, folios

    def own(self, rows: Columns, is_ready: Callable[[I64Array], BoolArray]) -> None:
        """Remember at each folio's first page who has it, and where its first page is.

        Of rows that the engine has recorded, only those whose folio is ready by now (`is_ready`
        of its index): no other can be moved before it is accessed again.
        """
        machine, mem_map = self._machine, self._machine.mem_map
        heads = mem_map.known(rows["pfn"]).head
        indices = mem_map.indices(heads)
        ready = np.flatnonzero(is_ready(indices))
        if not len(ready):
            return
        before = heads[ready].astype(np.int64) - rows["pfn"][ready].astype(np.int64)
        aligned = rows["vaddr"][ready] >> np.uint64(PAGE_SHIFT) << np.uint64(PAGE_SHIFT)
        vaddrs = (aligned.astype(np.int64) + before * (1 << PAGE_SHIFT)).astype(np.uint64)
        self._rmap.grow(machine.lower_tier_pages)
        self._rmap.see(indices[ready], rows["pid"][ready], vaddrs)
