"""The batches of a replay that moved most pages."""

from __future__ import annotations

import numpy as np

from pghot.driving.observer import Observer
from pghot.engine.migrated import Migrated
from pghot.replaying.result import BusyBatch

MOST = 5
"""Batches that are remembered."""


class BusiestBatches(Observer):
    """Keeps the busiest batches; of equals, those that came first."""

    def __init__(self) -> None:
        self._found: list[BusyBatch] = []

    @property
    def found(self) -> tuple[BusyBatch, ...]:
        """Those kept, the busiest first."""
        return tuple(self._found)

    def migrated(self, instant: int, first: int, migrated: Migrated) -> None:
        """Keep those that moved more than one that is kept."""
        pages = migrated.batches["pages_moved"]
        least = self._found[-1].pages if len(self._found) == MOST else -1
        for at in np.flatnonzero(pages > least).tolist():
            if len(self._found) < MOST or pages[at] > self._found[-1].pages:
                self._keep(instant, first + at, migrated, at)

    def _keep(self, instant: int, number: int, migrated: Migrated, at: int) -> None:
        folios, nid, memcg, moved = migrated.batches[at].tolist()
        self._found.append(
            BusyBatch(
                number=number,
                time_us=instant,
                from_nid=migrated.from_nid,
                to_nid=nid,
                memcg=memcg,
                folios=folios,
                pages=moved,
            )
        )
        self._found.sort(key=lambda busy: -busy.pages)
        del self._found[MOST:]
