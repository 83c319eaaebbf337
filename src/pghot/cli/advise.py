"""`pghot advise`: how much fast memory, which settings, and whether to promote at all."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pghot.exploring.advice import Advice


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "source", metavar="LOG|SCENARIO", nargs="?", help="access log, scenario file or preset"
    )
    parser.add_argument(
        "--target", metavar="SHARE", default="95%", help="accesses to serve fast (default: 95%%)"
    )
    parser.add_argument(
        "--fast", metavar="SIZE", help="look at this much fast memory: 8G, 25%% of what is touched"
    )
    parser.add_argument(
        "--machine", metavar="FILE", type=Path, help="machine file (default: the log's own)"
    )
    parser.add_argument(
        "--latency", metavar="fast=NS,slow=NS", help="read latencies (default: the machine's)"
    )
    parser.add_argument(
        "--price", metavar="fast=P,slow=P", help="price of a GiB of each; costs are told"
    )
    parser.add_argument("--scale", metavar="S", default="1", help="a slice of a scenario: 1/16")
    parser.add_argument(
        "--tries",
        metavar="N",
        type=int,
        default=0,
        help="search all tunables, so many candidates, by Optuna (default: a grid of a few)",
    )
    parser.add_argument(
        "--live", action="store_true", help="record this host first (needs root; -p, --for)"
    )
    parser.add_argument("-p", dest="pids", metavar="PID,...", help="with --live: these processes")
    parser.add_argument(
        "--for", dest="duration", metavar="TIME", default="10m", help="with --live: so long (10m)"
    )
    parser.add_argument("--json", action="store_true", help="print the advice as JSON")
    parser.add_argument(
        "-o",
        dest="output",
        metavar="DIR",
        type=Path,
        help="write advice.json, pghot.toml for pghot run --config, kernel.sh",
    )
    parser.add_argument("--force", action="store_true", help="write to DIR though it is not empty")


def run(args: argparse.Namespace) -> int:
    """Find out, write the files, and tell."""
    from pghot.errors import InputError
    from pghot.exploring.advice_files import advice_directory

    if args.live == (args.source is not None):
        raise InputError("advise: wants a LOG or a SCENARIO, or --live with -p PID")
    with ExitStack() as stack:
        write = stack.enter_context(advice_directory(args.output, force=args.force))
        if args.live:
            from pghot.cli.advise_live import recorded

            args.source = stack.enter_context(recorded(args.pids, args.duration))
        advice = _advice(args)
        write(advice)
    if args.json:
        print(json.dumps(advice.to_dict(), indent=2))
    else:
        from pghot.report.advice import print_advice

        print_advice(advice)
    return 0


def _advice(args: argparse.Namespace) -> Advice:
    from pghot.cli.sim import scale_of
    from pghot.exploring.advise import advise
    from pghot.exploring.price import Price
    from pghot.exploring.sizes import parse_fast
    from pghot.report.progress import lines_progress

    options: dict[str, Any] = {
        "target": _share(args.target),
        "fast": parse_fast(args.fast) if args.fast else None,
        "machine": args.machine,
        "latency_ns": _latency(args.latency) if args.latency else None,
        "price": Price.parse(args.price) if args.price else None,
        "scale": scale_of(args.scale),
        "tries": args.tries,
    }
    with lines_progress() as tell:
        return advise(args.source, **options, tell=tell)


def _share(text: str) -> float:
    from pghot.errors import InputError

    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise InputError(f"--target {text}: wants a share such as 95% or 0.95") from None


def _latency(text: str) -> tuple[float, float]:
    from pghot.errors import InputError

    wants = f"--latency {text}: wants fast=NS,slow=NS, slow above fast, such as fast=90,slow=250"
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    try:
        fast, slow = float(given["fast"]), float(given["slow"])
    except (KeyError, ValueError):
        raise InputError(wants) from None
    if len(given) != 2 or not 0 < fast < slow < 1e9:
        raise InputError(wants)
    return fast, slow
