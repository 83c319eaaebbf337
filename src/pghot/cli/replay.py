"""`pghot replay`: a log in, promotions and counters out (R10.1)."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.replaying.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.events import add_events_arguments

    parser.add_argument("log", metavar="LOG", type=Path, help="access log: Parquet, CSV, CSV.zst")
    parser.add_argument(
        "--machine", metavar="FILE", type=Path, help="machine file (default: the log's own)"
    )
    parser.add_argument(
        "--source",
        metavar="NAME,...",
        help="enable these sources: hintfault, hwhint (default: those in the log)",
    )
    parser.add_argument(
        "--start",
        choices=("logged", "first-touch", "interleave", "slow"),
        default="logged",
        help="where pages are before the first access (default: as in the log)",
    )
    add_engine_arguments(parser)
    add_events_arguments(parser)
    parser.add_argument("-o", dest="output", metavar="DIR", type=Path, help="write results to DIR")
    parser.add_argument("--json", action="store_true", help="print summary.json, nothing else")
    parser.add_argument("--force", action="store_true", help="write to DIR though it is not empty")
    parser.add_argument(
        "--skip-bad", action="store_true", help="count and skip bad rows instead of stopping"
    )


def add_engine_arguments(parser: argparse.ArgumentParser, fidelity: str = "v7") -> None:
    """Declare the options that choose and tune the engine; `fidelity` is the default one."""
    parser.add_argument(
        "--mode", choices=("default", "precise"), default="default", help="record layout"
    )
    parser.add_argument(
        "--fidelity",
        choices=("v7", "v8", "improved"),
        default=fidelity,
        help=f"the series as posted (v7, v8), or v7 with its defects mended (default: {fidelity})",
    )
    parser.add_argument(
        "--set",
        dest="tunables",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set a tunable by its kernel name; may be repeated",
    )


def settings_of(args: argparse.Namespace) -> Settings:
    """The replay settings that the options ask for; InputError where they cannot be."""
    from pghot.engine.did_you_mean import perhaps
    from pghot.engine.fidelity import FIDELITIES
    from pghot.engine.layout import LAYOUTS
    from pghot.errors import InputError
    from pghot.log.schema import SOURCES
    from pghot.replaying.settings import Settings

    tunables = {}
    for text in args.tunables:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: wants NAME=VALUE; see pghot help tunables")
        tunables[name] = value
    sources = None
    if args.source is not None:
        sources = tuple(name.strip() for name in args.source.split(","))
        for name in sources:
            if name not in SOURCES:
                near = perhaps(name, SOURCES)
                raise InputError(f"--source {name}: {near}there are {', '.join(SOURCES)}")
    return Settings(
        layout=LAYOUTS[args.mode],
        fidelity=FIDELITIES[args.fidelity],
        tunables=tunables,
        sources=sources,
        skip_bad=args.skip_bad,
        start=getattr(args, "start", "logged"),
    )


def run(args: argparse.Namespace) -> int:
    """Replay, write the files, and tell."""
    from pghot.cli.events import events_of
    from pghot.cli.made import made
    from pghot.driving.event_observer import EventObserver
    from pghot.driving.observer import Observers, RowsDone
    from pghot.replaying.output import output_directory
    from pghot.replaying.replay import replay
    from pghot.report.progress import rows_progress

    settings = settings_of(args)
    with contextlib.ExitStack() as stack:
        output = None
        if args.output:
            output = stack.enter_context(output_directory(args.output, force=args.force))
        events = stack.enter_context(events_of(args))
        progress = stack.enter_context(rows_progress(args.log))
        result = replay(
            args.log,
            args.machine,
            settings,
            observer=Observers(
                EventObserver(events) if events else None,
                output,
                RowsDone(progress) if progress else None,
            ),
        )
        result = dataclasses.replace(result, made=made(args))
        if output:
            output.finish(result)
    if result.skipped:
        print(f"pghot: {args.log}: {result.skipped} bad rows skipped", file=sys.stderr)
    if args.json:
        print(json.dumps(result.summary(), indent=2))
    else:
        from pghot.cli.next_steps import after_replay, print_steps
        from pghot.report.table import print_result

        print_result(result, str(args.log))
        if args.command == "replay":
            print_steps(after_replay(args, refused=bool(result.refused)))
    return 0
