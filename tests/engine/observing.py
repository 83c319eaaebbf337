"""An observer that adds up what it is told, and says where that is not what was counted."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pghot.engine.engine import Engine
from pghot.engine.reasons import (
    ACCESS,
    BAD_NODE,
    BAD_SOURCE,
    CANDIDATE,
    DISABLED,
    ENGINE,
    RECORDED,
)


class Adding:
    """Counts accesses by fate, candidates by outcome, pages and batches."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.outcomes: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.by_source = [0, 0]
        self.pages_moved = self.batches = self.candidates = 0
        self.foreseen: dict[int, int] = {}
        """The record that each folio is to have, by its first PFN, until candidates are taken."""
        engine.observer = self

    def chosen(self, rows) -> None:
        self.rows = rows.tolist()

    def recorded(self, recorded) -> None:
        outcomes = recorded.outcomes
        assert (
            len({len(column) for column in (*recorded.accesses, outcomes, recorded.records)}) == 1
        )
        for reason in ACCESS:
            self.outcomes[reason.name] += int(np.count_nonzero(outcomes == reason.code))
        taken = ~np.isin(outcomes, [BAD_NODE, BAD_SOURCE, DISABLED])
        for source in (0, 1):
            self.by_source[source] += int(np.sum(recorded.accesses.source[taken] == source))
        kept = outcomes == RECORDED
        folios, records = recorded.folios[kept], recorded.records[kept]
        self.foreseen |= dict(zip(folios.tolist(), records.tolist(), strict=True))

    def moved(self, batch, now) -> None:
        assert now >= 0
        self.batches += 1
        self.pages_moved += batch.pages_moved

    def judged(self, judged) -> None:
        outcomes = judged.candidates["outcome"]
        self.candidates += len(outcomes)
        for reason in CANDIDATE:
            self.outcomes[reason.name] += int(np.sum(outcomes == reason.code))

    def check_records(self) -> None:
        """See that records were foreseen; call it before anything but recording happens."""
        engine = self.engine
        for folio, record in self.foreseen.items():
            index = engine.memory.mem_map.index(folio)
            assert int(engine.hot_map.records[index]) == record, hex(folio)
        self.foreseen.clear()

    def agree(self) -> None:
        """See that what was told is what was counted."""
        engine = self.engine
        counted = engine.vmstat.as_dict()
        assert self.outcomes["recorded"] == counted["pghot_recorded_accesses"]
        assert self.by_source == [
            counted["pghot_recorded_hintfaults"],
            counted["pghot_recorded_hwhints"],
        ]
        refused = self.outcomes["bad_node"] + self.outcomes["bad_source"]
        assert refused == engine._recorder.refused
        assert self.outcomes["on_top_tier"] <= engine.accesses_on_toptier
        assert self.pages_moved == counted["pgpromote_success"] == counted["numa_pages_migrated"]
        assert {n: self.outcomes[n] for n in ENGINE} == {n: engine.refused[n] for n in ENGINE}
