"""In the guest: one load, one promoter, from the moment the load's memory is touched.

python -m tests.vm.pressure [--quiet MIB] [--operations N] PROMOTER SECONDS HEAT_ARGUMENT...
                            [-- PGHOT_ARGUMENT...]

PROMOTER is `none`, `numa` (NUMA balancing in tiering mode), `damon` (under its own goals),
`damon-quota` (without) or `pghot`.  It ends after SECONDS, or once the load has made N accesses.
With --quiet a program has touched so much before and does nothing since.  The load runs on CPU 1,
the promoter on CPU 0.  Writes what the load and pghot say, and one JSON object at the end.
`tests.vm.compare` boots a guest for each.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from tests.vm import damon_tiering
from tests.vm.damon import NotOfferedError
from tests.vm.layout import FAST, SLOW
from tests.vm.machine import INSIDE

BALANCING = Path("/proc/sys/kernel/numa_balancing")
DEMOTION = Path("/sys/kernel/mm/numa/demotion_enabled")
CACHES = Path("/proc/sys/vm/drop_caches")
COUNTED = ("pgpromote_success", "pgdemote_kswapd", "pgdemote_direct", "numa_hint_faults")
PROFILE = {
    "migrated": "pgmigrate_success",
    "faults": "numa_hint_faults",
    "marked": "numa_pte_updates",
}
"""What the kernel has counted by each point, by its name there."""

OURS, LOADS = 0, 1
"""CPUs."""

Told = dict[str, Any]


class Heat:
    """The load of heat.c, stopped once its memory is touched."""

    def __init__(self, arguments: Sequence[str]) -> None:
        program = Path(os.environ["PGHOT_VM_SHARED"]) / "heat"
        words = ["taskset", "-c", str(LOADS), program, *arguments]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.lines: IO[str] = self.process.stdout
        self.pid = int(self.lines.readline().split()[1])
        for line in self.lines:  # its base, then that it is ready
            print(line, end="")
            if line.startswith("ready"):
                break

    def run(
        self, seconds: float, operations: float, watch: Callable[[], dict[str, int]]
    ) -> list[dict[str, float]]:
        """Let it go on for so long, or so many accesses; what it says every now and then.

        With what `watch` says by then.  Little is done here, for it is done on the CPU of the
        promoter.
        """
        os.kill(self.pid, signal.SIGCONT)
        end = time.monotonic() + seconds
        points = []
        for line in self.lines:
            words = line.split()
            point = dict(zip(words[::2], map(float, words[1::2]), strict=True))
            counted = vmstat(PROFILE.values())
            point |= {name: counted.get(key, 0) for name, key in PROFILE.items()}
            points.append(point | watch())
            if time.monotonic() > end or point["ops"] >= operations:
                break
        return points

    def end(self) -> tuple[int, bool]:
        """End it: pages on the fast node that are not hot, and whether all were intact."""
        self.process.terminate()
        os.kill(self.pid, signal.SIGCONT)
        said = self.lines.read()
        self.process.wait()
        cold = [line.split()[1] for line in said.splitlines() if line.startswith("cold")]
        return int(cold[0]), "checksum ok" in said


def vmstat(names: Collection[str] = COUNTED) -> dict[str, int]:
    """What the kernel has counted since boot, of these names."""
    pairs = map(str.split, Path("/proc/vmstat").read_text().splitlines())
    return {name: int(value) for name, value in pairs if name in names}


def held(pid: int) -> dict[str, int]:
    """What a process holds: KiB of memory, and descriptors."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    kib = pages * os.sysconf("SC_PAGE_SIZE") // 1024
    return {"kib": kib, "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


@contextlib.contextmanager
def nobody(_pid: int, _extra: Sequence[str]) -> Iterator[Told]:
    """Promote nothing."""
    yield {}


@contextlib.contextmanager
def kernel(_pid: int, _extra: Sequence[str]) -> Iterator[Told]:
    """NUMA balancing in tiering mode, as the kernel has it."""
    BALANCING.write_text("2")
    yield {}


@contextlib.contextmanager
def damon(_pid: int, _extra: Sequence[str], *, goals: bool = True) -> Iterator[Told]:
    """DAMON under its own goals, or with quotas alone."""
    with damon_tiering.managing(FAST, SLOW, goals=goals):
        told: Told = {}
        yield told
        told["damon"] = damon_tiering.stats()
        pages = [one["sz_applied"] // damon_tiering.PAGE for one in told["damon"]]
        told["pgpromote_success"], told["demoted"] = pages


@contextlib.contextmanager
def pghot(pid: int, extra: Sequence[str]) -> Iterator[Told]:
    """`pghot run` on the load."""
    command = [sys.executable, "-m", "pghot", "run", "-p", str(pid), "--json", *extra]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while BALANCING.read_text().strip() != "2":
        assert process.poll() is None, "pghot did not start"
        time.sleep(0.1)
    told: Told = {"pid": process.pid}
    yield told
    process.terminate()
    output, _ = process.communicate()
    told["live"] = json.loads(output)["live"]
    told["pgpromote_success"] = told["live"]["promoted_pages"]


PROMOTERS = {
    "none": nobody,
    "numa": kernel,
    "damon": damon,
    "damon-quota": functools.partial(damon, goals=False),
    "pghot": pghot,
}


def inside_a_guest() -> None:
    """Refuse to change settings of a machine that is no guest of ours."""
    if INSIDE not in os.environ:
        raise SystemExit("this changes kernel settings: only in a guest (tests.vm.compare)")


def same_start() -> None:
    """The same page cache for every promoter: what a run of pghot reads, and nothing else."""
    CACHES.write_text("3")
    subprocess.run([sys.executable, "-m", "pghot", "doctor"], check=False, capture_output=True)


def measure(args: argparse.Namespace) -> Told:
    """Let the load go once the promoter looks, and say what came of it."""
    heat = Heat(args.load)
    with PROMOTERS[args.promoter](heat.pid, args.extra) as own:
        before = vmstat()
        pid = own.get("pid")
        points = heat.run(args.seconds, args.operations, lambda: held(pid) if pid else {})
        after = vmstat()
        os.kill(heat.pid, signal.SIGSTOP)  # what comes now is not counted
    told = {name: after[name] - before[name] for name in after}
    told["demoted"] = told.get("pgdemote_kswapd", 0) + told.get("pgdemote_direct", 0)
    cold, intact = heat.end()
    return {"points": points, "cold": cold, "intact": intact} | told | own


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser()
    parser.add_argument("--quiet", type=int, default=0)
    parser.add_argument("--operations", type=float, default=math.inf)
    parser.add_argument("promoter", choices=PROMOTERS)
    parser.add_argument("seconds", type=float)
    parser.add_argument("load", nargs=argparse.REMAINDER)
    args = parser.parse_args(words[:at])
    args.extra = words[at + 1 :]
    return args


def main() -> int:
    """Run it; 0 where the load's pages were intact."""
    inside_a_guest()
    args = arguments()
    os.sched_setaffinity(0, {OURS})
    BALANCING.write_text("0")
    DEMOTION.write_text("1")
    same_start()
    idle = Heat([str(args.quiet), "uniform"]) if args.quiet else None
    try:
        told = measure(args)
    except NotOfferedError as reason:
        told = {"missing": str(reason), "intact": True}
    if idle is not None:
        told["intact"] &= idle.end()[1]
    print("result", json.dumps({"promoter": args.promoter} | told), flush=True)
    return 0 if told["intact"] else 1


if __name__ == "__main__":
    sys.exit(main())
