"""The shipped log, replayed: what came out when the figures were last looked at.

A change here is a change of behaviour: say in the changelog what changed and why.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.engine.migrated import Batch
from pghot.replaying.driver import Settings, replay

LOG = Path(__file__).resolve().parents[2] / "examples" / "sqlite.parquet"
TIGHT = {
    "freq_threshold": "3",
    "kmigrated_batch_nr": "7",
    "pghot_promote_rate_limit_MBps": "1",
}

# mode, fidelity, tight tunables: pages promoted, batches, recorded accesses, candidates,
# and digests of the promotions in order and of the records at the end.
GOLDEN = {
    ("default", "v7", False): (
        6448, 240, 126587, 6448, "b645ebedf9bf5a7b", "77c09c0bc37ff9d4"),
    ("default", "v7", True): (
        6402, 1094, 141486, 8482, "f06bf9d5bcedf74e", "8930bdfe63b03210"),
    ("default", "improved", False): (
        6446, 239, 126589, 6446, "a25d48afa8a73cf8", "4ca74afaf87b2c7e"),
    ("default", "improved", True): (
        6414, 1164, 136863, 6414, "0426eabca9b6b5fa", "4ca74afaf87b2c7e"),
    ("precise", "v7", False): (
        6446, 239, 126589, 6446, "b9a2f58c322b6c46", "7f3f14c2c0ce3790"),
    ("precise", "v7", True): (
        6399, 1093, 141490, 8478, "5be3ae15b830b645", "acab63fee8005dfc"),
    ("precise", "improved", False): (
        6446, 239, 126589, 6446, "18f8d13c9623e005", "77f13512e1800b89"),
    ("precise", "improved", True): (
        6417, 1150, 134057, 6417, "df03f4dba0155af2", "77f13512e1800b89"),
}  # fmt: skip


class Digest:
    """Takes promotions and keeps a digest of them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, time_us: int, number: int, batch: Batch) -> None:
        facts = [time_us, number, batch.from_nid, batch.to_nid, batch.memcg]
        self._hash.update(np.array(facts, np.int64).tobytes())
        self._hash.update(batch.pfns[batch.moved].tobytes())

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: "-".join(map(str, case)))
def test_the_shipped_log_gives_what_it_gave(case: tuple[str, str, bool]) -> None:
    mode, fidelity, tight = case
    settings = Settings(LAYOUTS[mode], FIDELITIES[fidelity], TIGHT if tight else {})
    promotions = Digest()
    result = replay(LOG, settings=settings, promotions=promotions)
    kept = result.records()
    records = hashlib.sha256(kept["pfn"].tobytes() + kept["record"].tobytes())
    assert GOLDEN[case] == (
        result.pages_promoted,
        result.batches,
        result.engine.vmstat["pghot_recorded_accesses"],
        result.engine.vmstat["pgpromote_candidate"],
        str(promotions),
        records.hexdigest()[:16],
    )
