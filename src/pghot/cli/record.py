"""`pghot record`: the accesses of real processes on this host, as an access log."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.targets import add_target_arguments

    add_target_arguments(parser)
    parser.add_argument(
        "-o", dest="output", metavar="LOG", type=Path, required=True, help="the log (Parquet)"
    )
    parser.add_argument("--force", action="store_true", help="write over LOG")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Record until it ends, and tell."""
    from pghot.compiled import require

    require("pghot record")
    from pghot.cli.targets import options_of
    from pghot.linux.host import Host
    from pghot.linux.processes.raise_nofile import raise_limit
    from pghot.live.recording import record_accesses
    from pghot.report.live import StatusLine

    raise_limit()
    line = StatusLine()
    rows, why, status = record_accesses(
        Host(), options_of(args), args.output, tell=line.say, force=args.force
    )
    if args.json:
        print(json.dumps({"log": str(args.output), "accesses": rows, "ended": why}))
    else:
        print(f"{args.output}: {rows:,} accesses; {why}")
    return status
