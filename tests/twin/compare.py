"""Replay a case with the twin and with the real engine, and lay out both the same way."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pghot.engine.fidelity import V7, V8
from pghot.engine.layout import DEFAULT, PRECISE
from pghot.log.write import create_log
from pghot.replaying.replay import Settings, replay
from tests.batches import EachBatch
from tests.twin.cases import Case
from tests.twin.engine import Promotion
from tests.twin.replay import Replay

LAYOUTS = {"default": DEFAULT, "precise": PRECISE}


class Promotions(EachBatch):
    """Keeps every folio that moved, and the number of every batch."""

    def __init__(self) -> None:
        self.promoted: list[Promotion] = []
        self.numbers: list[int] = []

    def add(self, time_us: int, number: int, batch: Any) -> None:
        self.numbers.append(number)
        for pfn, pages, moved in zip(batch.pfns, batch.pages, batch.moved, strict=True):
            if moved:
                self.promoted.append(
                    Promotion(
                        time_us,
                        int(pfn),
                        int(pages),
                        batch.from_nid,
                        batch.to_nid,
                        batch.memcg,
                        number,
                    )
                )


def seen_by_pghot(case: Case) -> dict[str, Any]:
    promotions = Promotions()
    names = ("time_us", "pfn", "nid", "source", "nr")[: len(case.rows[0])]
    types = (np.uint64, np.uint64, np.int16, np.int8, np.uint32)[: len(names)]
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.parquet"
        with create_log(log, optional=names[4:]) as writer:
            columns = zip(*case.rows, strict=True)
            writer.write(
                {
                    name: np.array(column, dtype)
                    for name, column, dtype in zip(names, columns, types, strict=True)
                }
            )
        settings = Settings(
            layout=LAYOUTS[case.mode],
            fidelity=V8 if case.v8 else V7,
            tunables={name: str(value) for name, value in case.tunables.items()},
            sources=case.sources,
        )
        result = replay(log, case.machine, settings, observer=promotions)
    summary, records = result.summary(), result.records()
    assert promotions.numbers == list(range(result.batches))
    return {
        "mode": summary["mode"],
        "hz": summary["hz"],
        "vmstat": {name: value for name, value in summary["vmstat"].items() if value},
        "nodes": {int(nid): counters for nid, counters in summary["nodes"].items()},
        "batches": summary["batches"],
        "accesses": summary["accesses"],
        "elapsed_s": summary["elapsed_s"],
        "promotions": promotions.promoted,
        "records": [
            (int(pfn), int(record))
            for pfn, record in zip(records["pfn"], records["record"], strict=True)
        ],
        "hot_sections": records["hot_sections"].tolist(),
    }


def seen_by_twin(case: Case) -> dict[str, Any]:
    twin = Replay(case.rows, case.machine, case.mode, case.tunables, case.sources, v8=case.v8)
    return {
        "mode": case.mode,
        "hz": case.machine.hz,
        "vmstat": twin.vmstat(),
        "nodes": twin.nodes(),
        "batches": twin.engine.batches,
        "accesses": twin.accesses,
        "elapsed_s": twin.elapsed_us / 1_000_000,
        "promotions": twin.engine.promotions,
        "records": twin.records(),
        "hot_sections": twin.hot_sections(),
    }
