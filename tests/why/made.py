"""Replays of a few accesses, and the event logs of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.log.made import LOWER, MACHINE, METADATA, Run, write_log, write_machine

CROWDED = MACHINE.replace("free_pages = 30000", "free_pages = 10")
"""A top tier that has room for ten pages."""

HOT = LOWER + 7


def accesses(path: Path, rows: Iterable[tuple[int, int]], source: int = 1) -> Path:
    """Write a log of accesses: (milliseconds, PFN) in time order, from CPUs of node 0."""
    times, pfns = zip(*rows, strict=True)
    return write_log(
        path,
        {
            "time_us": np.array(times, np.uint64) * np.uint64(1000),
            "pfn": np.array(pfns, np.uint64),
            "nid": np.zeros(len(pfns), np.int16),
            "source": np.full(len(pfns), source, np.int8),
        },
        METADATA,
    )


def replayed(
    run: Run,
    directory: Path,
    rows: Iterable[tuple[int, int]],
    *options: str,
    machine: str = MACHINE,
) -> Path:
    """Replay accesses with their events logged; give the event log."""
    (directory / "log.parquet").unlink(missing_ok=True)
    log = accesses(directory / "log.parquet", rows)
    events = directory / "events"
    toml = write_machine(directory / "machine.toml", machine)
    done = run("replay", log, "--machine", toml, "--events", events, *options)
    assert done.status == 0, done.err
    return events


def life(run: Run, events: Path, page: object) -> dict:
    """What `pghot why --json` says of a page."""
    done = run("why", events, str(page), "--json")
    assert (done.status, done.err) == (0, "")
    return json.loads(done.out)


def told(life: dict) -> list[tuple]:
    """The steps as (what, first second, times, heat)."""
    return [(s["what"], s["first_s"], s["count"], s["heat"]) for s in life["steps"]]
