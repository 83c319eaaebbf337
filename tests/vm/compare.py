"""No promotion, NUMA balancing, DAMON and pghot from the same start, a boot each: one table.

python -m tests.vm.compare [--kernel next]... [--load NAME]... [--promoter NAME]...
                           [--operations N] [--instruction-ns N] [--json FILE]
                           [-- PGHOT_ARGUMENT...]

Loads: `room`, 16 MiB hot of 64 MiB, all slow at first, with room on the fast node; `room-old`,
the same of a program that has had 40 s of CPU time; `pressure`, zipf 0.99 over 1,500 MiB, placed
by first touch, which fills it, for 40 million accesses.  The machine has 768 MiB of fast and
1,536 MiB of slow memory and two CPUs, one for the load; demotion is on; the load is let go once
the promoter looks.  Shares are of the load's accesses to its pages that miss a cache of 1 MiB,
each counted by the emulator (tier_count.c).

A guest's time is what its CPUs, which take turns, have executed: 4 ns an instruction, or what
--instruction-ns says (a power of two).  So nothing else that this machine does changes what comes
out.  With 0 it is the clock of this machine, and the CPUs are at work side by side.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.vm import kernels, machine
from tests.vm.layout import INSTRUCTION_NS, POWERS, Layout
from tests.vm.tier_count import Counts, compile_heat, counted, read_counts

PRESSURE = Layout(fast_mib=768, slow_mib=1536, extra_mib=1024, instruction_ns=INSTRUCTION_NS)
PROMOTERS = ("none", "numa", "damon", "damon-quota", "pghot")
MOST_HOT = 0.99

Told = dict[str, Any]


class Load(NamedTuple):
    """What heat.c is given, for how many accesses and seconds, and what it is in words."""

    words: str
    operations: float
    seconds: float
    title: str


LOADS = {
    "room": Load(
        "-s -i 250 64 hot 16 0 1", math.inf, 20, "16 MiB hot of 64 MiB, all slow at first, room"
    ),
    "room-old": Load(
        "-s -i 250 -w 40 64 hot 16 0 1",
        math.inf,
        20,
        "the same, of a program that has run for 40 s",
    ),
    "pressure": Load(
        "1500 zipf 0.99", 40e6, 300, "zipf 0.99 over 1,500 MiB, by first touch, no room"
    ),
}


class Shares(NamedTuple):
    """What was served fast: at the start as pages lay, over the run, its second half, its end."""

    start: float
    whole: float
    second: float
    end: float


def run_one(
    kernel: kernels.Kernel,
    promoter: str,
    seconds: float,
    load: Sequence[str],
    extra: Sequence[str] = (),
    quiet_mib: int = 0,
    operations: float = math.inf,
    layout: Layout = PRESSURE,
) -> Told:
    """Boot once and run one promoter beside the load; a dead guest is booted once more."""
    quiet = ["--quiet", str(quiet_mib)] if quiet_mib else []
    words = [sys.executable, "-m", "tests.vm.pressure", *quiet, "--operations", str(operations)]
    words += [promoter, str(seconds), *load]
    words += ["--", *extra] if extra else []
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="pghot-compare-") as scratch:
            shared = Path(scratch)
            compile_heat(shared)
            done = machine.run(
                kernel,
                words,
                shared,
                timeout=300 + 8 * seconds,
                layout=counted(layout, shared),
            )
            for line in done.output.splitlines():
                if line.startswith("result "):
                    told: Told = json.loads(line.removeprefix("result "))
                    return told | {"counts": read_counts(shared), "output": done.output}
            print(done.output[-2000:], done.explain(), file=sys.stderr)
    raise RuntimeError(f"{promoter}: no result in two boots")


def shares(told: Told) -> Shares:
    """What was served fast, by the counts between the marks of the load."""
    points = told["points"]
    counts = [Counts(*count) for count in told["counts"][: len(points)]]
    middle = (counts[0].all + counts[-1].all) / 2
    half = next(at for at, count in enumerate(counts) if count.all >= middle)
    return Shares(
        points[0]["served"],
        counts[-1].share(counts[0]),
        counts[-1].share(counts[half]),
        counts[-1].share(counts[-2]),
    )


def hot_after(told: Told) -> str:
    """When 99 % of the hot pages were fast, in seconds; or what share was at the end."""
    for point in told["points"]:
        if point["hot"] >= MOST_HOT:
            return f"{point['at']:.1f} s"
    return f"{told['points'][-1]['hot']:.0%} at the end"


COLUMNS = (
    "who promotes",
    "served fast at the start",
    "over the run",
    "second half",
    "at the end",
    "hot pages 99 % fast after",
    "promoted",
    "demoted",
    "cold pages fast",
    "hint faults",
    "op/s",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"


def row(told: Told) -> str:
    """A row of the table, in Markdown."""
    if "missing" in told:
        return f"| {told['promoter']} | {told['missing']} |"
    operations = told["points"][-1]["ops"] / max(told["points"][-1]["at"], 1)
    numbers = (told["pgpromote_success"], told["demoted"], told["cold"])
    figures = (
        told["promoter"],
        *(f"{share:.1%}" for share in shares(told)),
        hot_after(told),
        *(f"{number:,}" for number in numbers),
        f"{told.get('numa_hint_faults', 0):,}",
        f"{operations:,.0f}",
    )
    damage = "" if told["intact"] else " PAGES DAMAGED |"
    return f"| {' | '.join(figures)} |{damage}"


def table(
    kernel: kernels.Kernel,
    load: Load,
    promoters: Sequence[str],
    extra: Sequence[str],
    layout: Layout,
) -> list[Told]:
    """Run all promoters beside one load, and print each row as it comes."""
    print(f"\nkernel {kernel.version}: {load.title}\n\n{HEAD}", flush=True)
    results = []
    for promoter in promoters:
        more = extra if promoter == "pghot" else ()
        told = run_one(
            kernel,
            promoter,
            load.seconds,
            load.words.split(),
            more,
            operations=load.operations,
            layout=layout,
        )
        print(row(told), flush=True)
        results.append(told | {"kernel": kernel.version, "load": load.words})
    return results


def main() -> int:
    """Make the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", action="append", help="release, next, or 6.12, 7.x")
    parser.add_argument("--load", action="append", choices=LOADS)
    parser.add_argument("--promoter", action="append", choices=PROMOTERS)
    parser.add_argument("--operations", type=float, help="accesses of the load, where not 40e6")
    parser.add_argument("--instruction-ns", type=int, choices=(0, *POWERS), default=INSTRUCTION_NS)
    parser.add_argument("--json", type=Path, help="everything that was seen, for a closer look")
    parser.add_argument("extra", nargs="*")
    args = parser.parse_args()
    results: list[Told] = []
    layout = dataclasses.replace(PRESSURE, instruction_ns=args.instruction_ns or None)
    for which in args.kernel or kernels.WHICH[::-1]:
        kernel = kernels.find(which)
        for name in args.load or LOADS:
            load = LOADS[name]
            load = load._replace(operations=args.operations or load.operations)
            results += table(kernel, load, args.promoter or PROMOTERS, args.extra, layout)
            if args.json:
                args.json.write_text(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
