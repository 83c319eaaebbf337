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
from pghot.replaying.replay import Settings, replay
from tests.batches import EachBatch

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
        640, 7, 633545, 37019, "109949b3b3b1ff4e", "4dfc970f5b30362f"),
    ("default", "v7", True): (
        640, 102, 609394, 36947, "f8a5971d62caf5fa", "36e169a74028f50c"),
    ("default", "improved", False): (
        640, 7, 633397, 629113, "59e551ca872a7ed1", "721f3421a4707e59"),
    ("default", "improved", True): (
        640, 94, 630385, 19918, "bc840e90081c14fb", "276fcb701966a270"),
    ("precise", "v7", False): (
        640, 7, 633545, 37006, "109949b3b3b1ff4e", "2a7ed8ce4ed44ac8"),
    ("precise", "v7", True): (
        640, 102, 609394, 36941, "f8a5971d62caf5fa", "6f45668612ad4fe9"),
    ("precise", "improved", False): (
        640, 7, 632395, 843213, "d9cfe75eedc907a3", "67fc7ca67c48dc95"),
    ("precise", "improved", True): (
        640, 94, 630615, 20235, "5d15d2713683cdbe", "a5fe881c9b2f7471"),
}  # fmt: skip


class Digest(EachBatch):
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
    result = replay(LOG, settings=settings, observer=promotions)
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
