"""Observers of runs for tests."""

from __future__ import annotations

from pghot.driving.observer import Observer


class EachBatch(Observer):
    """Hands every batch to `add`."""

    def migrated(self, instant, first, migrated) -> None:
        for number, batch in enumerate(migrated, first):
            self.add(instant, number, batch)
