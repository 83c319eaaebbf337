"""`pghot run`: hot pages of real processes to the fast node, on this host."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

HELP = "promote the hot pages of processes on this host (needs root, two tiers)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.attached import add_attached_arguments
    from pghot.cli.replay import add_engine_arguments
    from pghot.cli.targets import add_target_arguments

    add_target_arguments(parser)
    add_engine_arguments(parser, fidelity="improved")
    parser.add_argument("--dry-run", action="store_true", help="judge everything, move nothing")
    parser.add_argument(
        "--latency-budget",
        type=float,
        default=20,
        metavar="MS",
        help="a call that moves pages takes no longer, or the next moves fewer (20)",
    )
    add_attached_arguments(parser)
    parser.add_argument("--record", metavar="LOG", type=Path, help="write an access log as well")
    parser.add_argument("-o", dest="output", metavar="DIR", type=Path, help="write results to DIR")
    parser.add_argument("--force", action="store_true", help="write over LOG, and to a full DIR")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Run the engine until it ends, and tell."""
    from pghot.cli.attached import attached
    from pghot.cli.replay import settings_of
    from pghot.cli.targets import options_of
    from pghot.errors import InputError
    from pghot.linux.host import Host
    from pghot.live.options import EngineOptions
    from pghot.live.run import run_engine
    from pghot.replaying.output import output_directory
    from pghot.report.live import StatusLine, print_live

    options = options_of(args)
    if not args.latency_budget > 0:
        raise InputError(f"--latency-budget {args.latency_budget}: wants milliseconds above 0")
    if args.source is not None and any(t.startswith("enabled_sources=") for t in args.tunables):
        raise InputError("give the sources by --source or by enabled_sources, not both")
    settings = settings_of(argparse.Namespace(**vars(args) | {"source": None, "skip_bad": False}))
    engine_options = EngineOptions(
        layout=settings.layout,
        fidelity=settings.fidelity,
        tunables=settings.tunables,
        budget_ms=args.latency_budget,
        dry_run=args.dry_run,
    )
    line = StatusLine()
    with contextlib.ExitStack() as stack:
        output = None
        if args.output:
            output = stack.enter_context(output_directory(args.output, force=args.force))
        desk = stack.enter_context(attached(args, line.say))
        result, status = run_engine(
            Host(),
            options,
            engine_options,
            tell=line.say,
            status=line.show,
            record=args.record,
            force=args.force,
            promotions=output,
            desk=desk,
        )
        if output:
            output.finish(result)
    line.end()
    if result.guard.restored and result.guard.restored.line():
        line.say(result.guard.restored.line())
    if args.json:
        print(json.dumps(result.summary(), indent=2))
    else:
        print_live(result)
    return status
