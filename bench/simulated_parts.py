"""Parts of the simulated machine: a balance of links, a scanner step, a profiler's sample.

The balance is of two groups of threads on three links, placed a little otherwise each time
(pages move) or wholly otherwise; the step is of 256 MiB of slow pages; samples come from 64
busy CPUs, 10 ms of them at a time, by either assumption about the hardware's pace.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from _measure import Row, interleave, one_core, options, rows, show
from pghot.engine.throttle_state import make_pgdat
from pghot.engine.vmstat import Vmstat
from pghot.simulated.ibs import registers as ibs
from pghot.simulated.ibs.hardware import Fired, OpCounter, TimePacer, sample_registers
from pghot.simulated.ibs.mprof import MemoryProfiler, Overflows
from pghot.simulated.machine.link_kinds import kind
from pghot.simulated.machine.links import LinkSolver
from pghot.simulated.numa.scan_period import ScanTunables
from pghot.simulated.numa.scanner import NumaScanner

CPUS = 64
STEP_US = 10_000.0
PACE_HZ = 1715.0
MOVED = 0.001
"""Share of the pages that are placed otherwise from one balance to the next."""


def main() -> None:
    args = options(__doc__)
    one_core()
    rounds = 3 if args.quick else 9
    found = balances(rounds) + scans(rounds) + samples(rounds)
    show("parts of the simulated machine, us an item", found, as_json=args.json, unit="us")


def balances(rounds: int, count: int = 2000) -> list[Row]:
    solver = LinkSolver([kind(name) for name in ("ddr", "remote-socket", "cxl-x8-ocp")])
    groups = np.array([[64.0, 0.0, 1.0, 0.5], [32.0, 5.0, 4.0, 0.0]])
    extra = np.array([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    start, rng = np.array([[0.5, 0.1, 0.4], [0.3, 0.3, 0.4]]), np.random.default_rng(1)
    wild = rng.dirichlet(np.ones(3), (count, 2))

    def solve(placed: npt.NDArray[np.float64]) -> None:
        for shares in placed:
            solver.solve(groups, shares, extra)

    near = (1 - MOVED) * start + MOVED * wild
    timing = interleave({"near": lambda: solve(near), "anew": lambda: solve(wild)}, rounds)
    return rows("balance", timing, count * 1000, {"anew": "near"})


def scans(rounds: int, count: int = 30) -> list[Row]:
    units = 1 << 21
    nid, marked = np.ones(units, np.int16), np.zeros(units, np.bool_)
    toptier = np.array([True, False])

    def scan() -> None:
        scanner = NumaScanner(ScanTunables())
        scanner.add_region(0, units, 0)
        for step in range(count):
            scanner.step(step * 1000.0, step * 1000.0, nid, marked, toptier)

    return rows("scanner step", interleave({"256 MiB": scan}, rounds), count * 1000, {})


def samples(rounds: int, steps: int = 100) -> list[Row]:
    by_time = TimePacer(CPUS, PACE_HZ, np.random.default_rng(1))
    by_ops = OpCounter(CPUS, ibs.IBS_MPROF_SAMPLE_PERIOD, 0.1, np.random.default_rng(1))
    busy, ops = np.full(CPUS, STEP_US / 1e6), np.full(CPUS, round(PACE_HZ * 1000))
    paced = {
        "evenly in time": lambda: by_time.advance(busy),
        "by ops": lambda: by_ops.advance(ops),
    }
    work = {name: Profiled(advance, steps) for name, advance in paced.items()}
    timing = interleave(work, rounds)
    count = round(PACE_HZ * CPUS * STEP_US / 1e6) * steps
    return rows("sample", timing, count * 1000, {"by ops": "evenly in time"})


class Profiled:
    """Steps of a profiler fed by a source of samples."""

    def __init__(self, advance: Callable[[], Fired], steps: int) -> None:
        self.advance, self.steps, self.now = advance, steps, 0.0
        self.vmstat = Vmstat(make_pgdat())
        self.profiler = MemoryProfiler(
            np.zeros(CPUS), caps=ibs.IBS_CAPS_MEM_PROFILER, ibsctl=1 << 24, drain_delay_us=50.0
        )
        for cpu in range(CPUS):
            self.profiler.startup(cpu)

    def __call__(self) -> None:
        for _step in range(self.steps):
            fired = self.advance()
            self.profiler.run(self.told(fired), self.now + STEP_US, self.vmstat)
            self.now += STEP_US

    def told(self, fired: Fired) -> Overflows:
        time_us = self.now + fired.fraction * STEP_US
        yes, no = (np.full(len(time_us), value) for value in (True, False))
        registers = sample_registers(
            np.arange(len(time_us), dtype=np.uint64), extended=yes, remote=yes, store=no, valid=yes
        )
        jiffies = (time_us // 1000).astype(np.uint64)
        return Overflows(fired.cpu, time_us, jiffies, *registers, yes)


if __name__ == "__main__":
    main()
