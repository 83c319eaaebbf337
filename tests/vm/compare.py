"""No promotion, NUMA balancing and pghot under the same pressure, a boot each: one table.

python -m tests.vm.compare [--kernel next] [--seconds 70] [--mib 1500] [--load "zipf 0.99"]
                           [--promoter NAME]... [-- PGHOT_ARGUMENT...]

The machine has 768 MiB of fast and 1,536 MiB of slow memory and two CPUs, demotion is on; the
load places its pages by first touch and is let go once the promoter looks.  Shares are of the
accesses that miss a small cache, by where their pages lie (heat.c).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.vm import kernels, machine
from tests.vm.layout import Layout

PRESSURE = Layout(fast_mib=768, slow_mib=1536, extra_mib=1024)
SOURCE = Path(__file__).with_name("heat.c")
PROMOTERS = ("none", "numa", "pghot")


def compile_heat(directory: Path) -> None:
    """Compile the load into a directory that the guest sees."""
    command = ["gcc", *machine.LOAD_FLAGS, "-o", str(directory / "heat"), str(SOURCE), "-lm"]
    subprocess.run(command, check=True)


def run_one(
    kernel: kernels.Kernel,
    promoter: str,
    seconds: float,
    load: Sequence[str],
    extra: Sequence[str] = (),
) -> dict[str, Any]:
    """Boot once and run one promoter beside the load; a dead guest is booted once more."""
    words = [sys.executable, "-m", "tests.vm.pressure", promoter, str(seconds), *load]
    words += ["--", *extra] if extra else []
    for _ in range(2):
        with tempfile.TemporaryDirectory(prefix="pghot-compare-") as scratch:
            compile_heat(Path(scratch))
            done = machine.run(
                kernel, words, Path(scratch), timeout=300 + 6 * seconds, layout=PRESSURE
            )
            for line in done.output.splitlines():
                if line.startswith("result "):
                    told: dict[str, Any] = json.loads(line.removeprefix("result "))
                    return told | {"intact": done.status == 0}
            print(done.output[-2000:], done.explain(), file=sys.stderr)
    raise RuntimeError(f"{promoter}: no result in two boots")


def shares(points: Sequence[dict[str, float]]) -> tuple[float, float, float, float]:
    """Share served fast at the start, over the run, in its second half, and at the end."""
    served = [point["served"] for point in points]
    half = served[len(served) // 2 :]
    return served[0], sum(served) / len(served), sum(half) / len(half), served[-1]


def row(told: dict[str, Any]) -> str:
    """A row of the table, in Markdown."""
    start, whole, second, end = (f"{share:.1%}" for share in shares(told["points"]))
    demoted = told.get("pgdemote_kswapd", 0) + told.get("pgdemote_direct", 0)
    operations = told["points"][-1]["ops"] / max(told["points"][-1]["at"], 1)
    figures = (told["promoter"], start, whole, second, end, f"{told['pgpromote_success']:,}")
    more = (f"{demoted:,}", f"{told.get('numa_hint_faults', 0):,}", f"{operations:,.0f}")
    return f"| {' | '.join(figures + more)} |"


COLUMNS = ("promoter", "start", "whole run", "second half", "end", "promoted", "demoted")
HEAD = f"| {' | '.join((*COLUMNS, 'hint faults', 'op/s'))} |\n|{'---|' * (len(COLUMNS) + 2)}"


def main() -> int:
    """Make the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm.compare", description=__doc__)
    parser.add_argument("--kernel", default="next")
    parser.add_argument("--seconds", type=float, default=70)
    parser.add_argument("--mib", default="1500")
    parser.add_argument("--load", default="zipf 0.99")
    parser.add_argument("--promoter", action="append", choices=PROMOTERS)
    parser.add_argument("extra", nargs="*")
    args = parser.parse_args()
    kernel = kernels.find(args.kernel)
    print(
        f"kernel {kernel.version}, {args.load} over {args.mib} MiB, {args.seconds:g} s\n\n{HEAD}"
    )
    load = [args.mib, *args.load.split()]
    for promoter in args.promoter or PROMOTERS:
        extra = args.extra if promoter == "pghot" else ()
        print(row(run_one(kernel, promoter, args.seconds, load, extra)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
