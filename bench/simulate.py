"""The simulator at full size: scenario 1 by policy, and a machine that an access log drives.

Scenario 1 (preset published-1: 2 Mi pages, 64 threads) runs once with each of its policies.
The log holds uniform accesses to as many pages of the same machine, and is gone through once.
CPU time on one core, after small runs that load the compiled loops; the ratio is to 10 s a
policy, and to 10 million accesses of the log a second.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import numpy as np

from _measure import MI, Row, cpu_seconds, one_core, options, show, uniform
from pghot.engine.recorder import PGHOT_HWHINTS
from pghot.log.schema import Metadata
from pghot.log.write import create_log
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled
from pghot.simulated.scenario.scenario import Scenario

SECONDS_A_POLICY = 10.0
ACCESSES_A_SECOND = 10e6
PAGES = 2 * MI
SMALL = 1 / 64


def main() -> None:
    args = options(__doc__)
    one_core()
    whole = load_scenario("published-1", POLICIES)
    found = published(whole, quick=args.quick) + logged(whole, (2 if args.quick else 50) * MI)
    show("simulator, s of CPU time a run", found, as_json=args.json, unit="s")


def published(whole: Scenario, *, quick: bool) -> list[Row]:
    small = scaled(whole, SMALL)
    found = []
    for policy in whole.policies:
        simulate(small, policy)
        seconds = seconds_of(small if quick else whole, policy)
        found.append(Row("published-1", policy, seconds, seconds / SECONDS_A_POLICY, 1.0))
    return found


def logged(whole: Scenario, count: int) -> list[Row]:
    found = []
    with tempfile.TemporaryDirectory() as directory:
        few, many = (of_log(whole, Path(directory), size) for size in (MI // 8, count))
        for policy in ("none", "pghot-hintfault", "pghot-hwhint"):
            simulate(few, policy)
            seconds = seconds_of(many, policy)
            ratio = seconds / count * ACCESSES_A_SECOND
            found.append(Row(f"log of {count / 1e6:.0f} M accesses", policy, seconds, ratio, 1.0))
    return found


def seconds_of(scenario: Scenario, policy: str) -> float:
    return cpu_seconds(lambda: simulate(scenario, policy))


def of_log(whole: Scenario, directory: Path, count: int) -> Scenario:
    """Give scenario 1 with the accesses of a log of so many."""
    path = directory / f"{count}.parquet"
    rng = np.random.default_rng(1)
    with create_log(path, Metadata(taken="bench/simulate.py")) as log:
        for start in range(0, count, MI):
            size = min(MI, count - start)
            log.write(
                {
                    "time_us": np.arange(start, start + size, dtype=np.uint64),
                    "pfn": uniform(size, PAGES, rng).astype(np.uint64),
                    "nid": np.zeros(size, np.int16),
                    "source": np.full(size, PGHOT_HWHINTS, np.int8),
                }
            )
    stream = {"kind": "log", "path": str(path), "first_pfn": 0, "wraps": False}
    threads = msgspec.structs.replace(whole.threads[0], stream=stream, accesses=None)
    return msgspec.structs.replace(whole, threads=[threads])


if __name__ == "__main__":
    main()
