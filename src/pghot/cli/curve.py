"""`pghot curve`: how many accesses of a log each size of fast memory would serve."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("log", metavar="LOG", type=Path, help="access log: Parquet, CSV, CSV.zst")
    parser.add_argument(
        "--machine", metavar="FILE", type=Path, help="machine file (default: the log's own)"
    )
    parser.add_argument(
        "--fast",
        metavar="SIZE,...",
        help="show these sizes of fast memory too: 8G, 512MiB, 25%% of what is touched",
    )
    parser.add_argument(
        "--by", choices=("process", "memcg", "region"), help="also a curve of each of these"
    )
    parser.add_argument(
        "--price", metavar="fast=P,slow=P", help="price of a GiB of each; costs are shown"
    )
    parser.add_argument("--json", action="store_true", help="print all points as JSON")
    parser.add_argument(
        "-o", dest="output", metavar="DIR", type=Path, help="write curve.parquet and curve.json"
    )
    parser.add_argument("--force", action="store_true", help="write to DIR though it is not empty")
    parser.add_argument(
        "--skip-bad", action="store_true", help="count and skip bad rows instead of stopping"
    )


def run(args: argparse.Namespace) -> int:
    """Go through the log, write the files, and tell."""
    from pghot.exploring.curve import curve
    from pghot.exploring.curve_files import curve_directory
    from pghot.exploring.price import Price
    from pghot.exploring.sizes import parse_fast
    from pghot.report.progress import rows_progress

    sizes = tuple(map(parse_fast, args.fast.split(","))) if args.fast else ()
    price = Price.parse(args.price) if args.price else None
    with curve_directory(args.output, force=args.force) as write:
        with rows_progress(args.log, "counting") as progress:
            found = curve(
                args.log,
                args.machine,
                sizes=sizes,
                by=args.by,
                price=price,
                skip_bad=args.skip_bad,
                progress=progress,
            )
        write(found)
    if found.skipped:
        print(f"pghot: {args.log}: {found.skipped} bad rows skipped", file=sys.stderr)
    if args.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        from pghot.report.curve import print_curve

        print_curve(found, sizes)
    return 0
