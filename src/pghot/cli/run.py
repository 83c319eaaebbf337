"""`pghot run`: hot pages of real processes to the fast node, on this host."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.beside import Losses
    from pghot.live.options import EngineOptions, LiveOptions
    from pghot.live.result import LiveResult
    from pghot.replaying.output import Output
    from pghot.report.live import StatusLine
    from pghot.report.log_lines import JsonLines

MOST_MS = 1e9
"""Milliseconds that a call may be allowed to take."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.attached import add_attached_arguments
    from pghot.cli.config_file import hold_defaults
    from pghot.cli.events import add_events_arguments
    from pghot.cli.replay import add_engine_arguments
    from pghot.cli.targets import add_target_arguments
    from pghot.cli.trial import add_trial_arguments

    add_target_arguments(parser)
    add_engine_arguments(parser, fidelity="improved")
    parser.add_argument(
        "--promote-to",
        choices=("top", "next"),
        default="top",
        help="of more than two tiers: to the top one, or to the next faster one (top)",
    )
    parser.add_argument(
        "--move-shared",
        action="store_true",
        help="move pages that several processes map as well (wants CAP_SYS_NICE)",
    )
    parser.add_argument("--dry-run", action="store_true", help="judge everything, move nothing")
    parser.add_argument(
        "--latency-budget",
        type=float,
        default=20,
        metavar="MS",
        help="a call that moves pages takes no longer, or the next moves fewer (20)",
    )
    add_trial_arguments(parser)
    parser.add_argument(
        "--move-budget",
        type=float,
        default=10,
        metavar="PERCENT",
        help="moving pages costs no more of a CPU (10)",
    )
    add_attached_arguments(parser)
    parser.add_argument("--record", metavar="LOG", type=Path, help="write an access log as well")
    add_events_arguments(parser)
    parser.add_argument("-o", dest="output", metavar="DIR", type=Path, help="write results to DIR")
    parser.add_argument("--force", action="store_true", help="write over LOG, and to a full DIR")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: an object a line on stderr, no table at the end (text)",
    )
    hold_defaults(parser)


def requests_of(args: argparse.Namespace) -> tuple[LiveOptions, EngineOptions]:
    """What the options ask for; InputError where they cannot be."""
    from pghot.cli.replay import settings_of
    from pghot.cli.targets import MOST_PERCENT, options_of
    from pghot.engine.fidelity import FIDELITIES
    from pghot.errors import InputError
    from pghot.live.options import EngineOptions

    options = options_of(args)
    if not 0 < args.latency_budget < MOST_MS:
        raise InputError(
            f"--latency-budget {args.latency_budget}: wants milliseconds above 0 and "
            f"below {MOST_MS:g}"
        )
    if not 0 < args.move_budget <= MOST_PERCENT:
        raise InputError(
            f"--move-budget {args.move_budget:g}: wants percent, above 0 and up to {MOST_PERCENT}"
        )
    if args.source is not None and any(t.startswith("enabled_sources=") for t in args.tunables):
        raise InputError("give the sources by --source or by enabled_sources, not both")
    if args.promote_to == "next" and not FIDELITIES[args.fidelity].nearest_target:
        raise InputError(
            f"--promote-to next: {args.fidelity} has one target for all pages; wants improved"
        )
    settings = settings_of(argparse.Namespace(**vars(args) | {"source": None, "skip_bad": False}))
    return options, EngineOptions(
        layout=settings.layout,
        fidelity=settings.fidelity,
        tunables={name: str(text) for name, text in settings.tunables.items()},
        budget_ms=args.latency_budget,
        dry_run=args.dry_run,
        one_up=args.promote_to == "next",
        shared=args.move_shared,
        move_share=args.move_budget / 100,
    )


def run(args: argparse.Namespace) -> int:
    """Run the engine until it ends, and tell."""
    from pghot.cli.config_file import load_config, merge_options
    from pghot.report.live import StatusLine
    from pghot.report.log_lines import JsonLines

    config = load_config(args.config) if args.config else None
    merged = merge_options(args, config, str(args.config)).args
    if merged.log_format == "text":
        return _run(merged, args, StatusLine())
    lines = JsonLines()
    try:
        return _run(merged, args, lines)
    except Exception as error:
        status = getattr(error, "exit_status", None)
        if status is None:
            raise
        lines.log("error", str(error), exit_status=status)
        return int(status)


def _run(
    args: argparse.Namespace, given: argparse.Namespace, lines: StatusLine | JsonLines
) -> int:
    """Run with `args`; `given` are those of the command line alone."""
    from pghot.compiled import require

    require("pghot run")
    from pghot.cli.attached import attached
    from pghot.cli.events import events_of
    from pghot.cli.made import made
    from pghot.cli.next_steps import after_run, print_steps
    from pghot.cli.trial import plan_of, with_trial
    from pghot.errors import Caution, PghotError
    from pghot.linux.host import Host
    from pghot.linux.processes.raise_nofile import raise_limit
    from pghot.live.beside import Lasting, Losses
    from pghot.live.run import run_engine
    from pghot.live.running import RESULTS
    from pghot.report.live import StatusLine

    options, engine_options = requests_of(args)
    plan = plan_of(args)
    losses = Losses()
    raise_limit()
    result = None
    status = 0
    try:
        with contextlib.ExitStack() as stack:
            output = None
            if args.output:
                from pghot.replaying.output import output_directory

                output = stack.enter_context(output_directory(args.output, force=args.force))
            logged = losses.beside("the event log", lines.say)
            events = stack.enter_context(Lasting(events_of(args), logged))
            served = losses.beside("what was attached", lines.say)
            mailbox = stack.enter_context(Lasting(attached(args, given, lines.say), served))
            result, status = run_engine(
                Host(),
                with_trial(options, plan),
                engine_options,
                tell=lines.say,
                status=lines.show,
                record=args.record,
                force=args.force,
                observer=output,
                events=events,
                mailbox=mailbox,
                losses=losses,
                trial=plan,
            )
            result = dataclasses.replace(result, made=made(given))
            if output:
                _finish(output, result, losses)
    except (OSError, PghotError) as error:
        if result is None:
            raise
        losses.why.setdefault(RESULTS, str(error))
    assert result is not None  # noqa: S101 - or it was raised
    lines.end()
    restored = result.running.session.guard.restored
    if restored and restored.line():
        lines.say(restored.line())
    for line in losses.lines():
        lines.say(Caution(f"lost: {line}"))
    _print(result, lines, as_json=args.json)
    if isinstance(lines, StatusLine) and not args.json:
        print_steps(after_run(args))
    return status or int(bool(losses.why))


def _finish(output: Output, result: LiveResult, losses: Losses) -> None:
    """Write the results; PghotError where they are not whole."""
    from pghot.errors import PghotError
    from pghot.live.running import RESULTS

    if RESULTS in losses.why:
        raise PghotError(losses.why[RESULTS])
    output.finish(result)


def _print(result: LiveResult, lines: StatusLine | JsonLines, *, as_json: bool) -> None:
    """Print what came of it: a table, JSON, or a line of the log."""
    from pghot.report.live import StatusLine

    if not isinstance(lines, StatusLine):
        lines.ended(result)
    if as_json:
        print(json.dumps(result.summary(), indent=2))
    elif isinstance(lines, StatusLine):
        from pghot.report.live_table import print_live

        print_live(result)
