"""What access streams cost: a mark with its fault, a draw, a share, an access of a log.

A step marks 65,536 units (a scan of 256 MB) and lets the clock go on until about as many are
touched as were marked: all where accesses spread evenly, fewer of a steep distribution, whose
cold units stay marked.  Over 2 Mi units, on one core; the yardstick is a compiled loop that
reads items at random places.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np

from _measure import MI, Row, interleave, one_core, options, rows, show, zipf
from _yardstick import read_sum
from pghot.log.schema import Metadata
from pghot.log.write import create_log
from pghot.workloads.make import make_stream
from pghot.workloads.stream import Stream

UNITS = 2 * MI
MARKED = 1 << 16
DRAWN = 1 << 16
STEPS = 32
LOG_STEP = 100_000
"""Accesses of a step of the log: 10 M a second in steps of 10 ms."""

KINDS = ["uniform", "zipf", "hot-cold", "gups", "key-value", "graph", "scan", "chase"]
MOST_NS = {"mark + fault": 500, "draw": 100, "log": 100}


def main() -> None:
    args = options(__doc__)
    one_core()
    units = UNITS // 8 if args.quick else UNITS
    found: list[Row] = []
    for kind in KINDS:
        found += measure(kind, units, steps=STEPS // 8 if args.quick else STEPS)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.parquet"
        size = MI if args.quick else 20 * MI
        write_log(log, size, units)
        found += measure_log(log, size, units)
    missed = [
        f"{row.case}, {row.variant}"
        for row in found
        if row.ns > MOST_NS.get(row.variant, float("inf"))
    ]
    more = {"wanted, ns": MOST_NS, "above it": missed or "none"}
    show("access streams, ns an item", found, as_json=args.json, more=more)


def measure(kind: str, units: int, steps: int) -> list[Row]:
    """Time steps of one kind; the clock goes on from round to round."""
    rng = np.random.default_rng(1)
    stream = make_stream(kind, units, {}, rng)
    moving, nid = np.arange(units)[1 :: units // MARKED], 1
    stream.place(np.ones(units, np.int16))
    run = 64.0 if kind == "scan" else 1.0
    clock = Clock(stream, units, MARKED * run)
    clock.steps(4 * units // MARKED)  # until about as many are touched as are marked
    places = rng.integers(0, units, MARKED).astype(np.uint32)
    items = np.zeros(units, np.uint32)
    at = np.sort(rng.random(DRAWN)) * clock.step

    def repeated(work: Callable[[], object]) -> Callable[[], None]:
        return lambda: [work() for _ in range(steps)] and None

    def move() -> None:
        nonlocal nid
        stream.moved(moving, np.full(MARKED, nid, np.int16), 1 - nid)
        nid = 1 - nid

    everything = {
        "read": lambda: read_sum(items, places),
        "mark + fault": lambda: clock.steps(1),
        "draw": lambda: stream.draw(clock.now + at),
        "move": move,
        "seen": lambda: stream.seen(
            clock.marked, np.full(MARKED, clock.now - clock.step), clock.now
        ),
    }
    timing = interleave({name: repeated(work) for name, work in everything.items()}, 5)
    found = rows(f"{kind}", timing, steps * MARKED, dict.fromkeys(timing, "read"))
    shares = interleave(
        {"shares": repeated(lambda: stream.shares(clock.now, clock.now + clock.step / 3))}, 5
    )
    return found + rows(kind, shares, steps, {})


class Clock:
    """Steps of a stream: a part of the region is marked, time goes on."""

    def __init__(self, stream: Stream, units: int, step: float) -> None:
        self.now, self.step = 0.0, step
        self._stream = stream
        self._parts = np.arange(units).reshape(-1, MARKED)
        self._turn = count()
        self.marked = self._parts[0]

    def steps(self, number: int) -> None:
        for _ in range(number):
            self.marked = self._parts[next(self._turn) % len(self._parts)]
            self._stream.make_prot_none(self.marked, self.now)
            self._stream.advance(self.now, self.now + self.step)
            self.now += self.step


def placed(stream: Stream, units: int) -> None:
    """Put the first half of the region on node 0, the other on node 1."""
    stream.place((np.arange(units) >= units // 2).astype(np.int16))


def write_log(path: Path, size: int, units: int) -> None:
    """Write a log of Zipf accesses."""
    rng = np.random.default_rng(1)
    with create_log(path, Metadata(taken="bench/streams.py")) as log:
        for start in range(0, size, MI):
            log.write(
                {
                    "time_us": np.arange(start, start + MI, dtype=np.uint64),
                    "pfn": zipf(MI, units, rng).astype(np.uint64),
                    "nid": np.zeros(MI, np.int16),
                    "source": np.ones(MI, np.int8),
                }
            )


def measure_log(path: Path, size: int, units: int) -> list[Row]:
    """Time laps of a log: shares, marks, faults and draws of every step."""
    rng = np.random.default_rng(1)
    stream = make_stream("log", units, {"path": str(path)}, rng)
    placed(stream, units)
    places = rng.integers(0, units, size).astype(np.uint32)
    items = np.zeros(units, np.uint32)
    now = 0.0
    fresh = rng.permutation(units)[:1000]

    def lap() -> None:
        nonlocal now
        for _ in range(0, size, LOG_STEP):
            stream.make_prot_none(fresh, now)
            stream.shares(now, now + LOG_STEP)
            stream.advance(now, now + LOG_STEP)
            stream.draw(np.linspace(now, now + LOG_STEP, 100))
            now += LOG_STEP

    def first_pass() -> None:
        make_stream("log", units, {"path": str(path)}, rng)

    variants = {
        "read": lambda: read_sum(items, places),
        "number pages": first_pass,
        "log": lap,
    }
    timing = interleave(variants, 3)
    return rows("log, Zipf", timing, size, dict.fromkeys(variants, "read"))


if __name__ == "__main__":
    main()
