"""What a run holds over hours where fast memory is full, half an hour of the host for each.

python -m tests.vm.hours [--kernel next] [--hours 2] [--json FILE]

A load of zipf 0.99 over 1,500 MiB sleeps 20 ms after each 1,000 accesses, `pghot run` with its
defaults watches it, and each minute what that holds is noted.  The guest goes by instructions,
and time in which it sleeps is passed over.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from tests.vm import kernels
from tests.vm.compare import PRESSURE, Told, run_one

LOAD = "-p 20 -i 60000 1500 zipf 0.99"


def hours(kernel: kernels.Kernel, count: float) -> Told:
    """What came of a run of so many hours."""
    layout = dataclasses.replace(PRESSURE, skips_idle=True)
    return run_one(kernel, "pghot", count * 3600, LOAD.split(), layout=layout)


def main() -> int:
    """Print what was held at the end of each ten minutes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vm.hours",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kernel", default="next", help="release, next, or 6.12, 7.x")
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--json", type=Path, help="everything that was seen")
    args = parser.parse_args()
    told = hours(kernels.find(args.kernel), args.hours)
    for point in told["points"][::10]:
        held = f"{point['kib']:,} KiB, {point['descriptors']} descriptors"
        print(f"after {point['at'] / 60:3.0f} min: {held}, served fast {point['served']:.1%}")
    print(f"promoted {told['pgpromote_success']:,}, intact {told['intact']}")
    if args.json:
        args.json.write_text(json.dumps(told))
    return 0 if told["intact"] else 1


if __name__ == "__main__":
    sys.exit(main())
