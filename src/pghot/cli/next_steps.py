"""What to look at after a command: the next command line, ready to be run."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable


def after_replay(args: argparse.Namespace, *, refused: bool) -> list[str]:
    """The commands that look further into a replay."""
    log = shlex.quote(str(args.log))
    machine = f" --machine {shlex.quote(str(args.machine))}" if args.machine else ""
    steps = []
    if args.events and refused:
        steps.append(f"pghot why {shlex.quote(str(args.events))} --refused")
    elif refused:
        steps.append(f"pghot replay {log}{machine} --events EVENTS; pghot why EVENTS --refused")
    steps.append(f"pghot sim --log {log}{machine}  (demotes as well)")
    return [*steps, *_report(args)]


def after_sim(args: argparse.Namespace) -> list[str]:
    """The commands that look further into a simulation."""
    if args.events:
        return [f"pghot why {shlex.quote(str(args.events))} --refused", *_report(args)]
    return _report(args)


def after_run(args: argparse.Namespace) -> list[str]:
    """The commands that look further into a run on this host."""
    steps = []
    if args.events:
        steps.append(f"pghot why {shlex.quote(str(args.events))} --refused")
    if args.record:
        log = shlex.quote(str(args.record))
        steps.append(f"pghot replay {log} --start first-touch  (whether promotion pays)")
    else:
        steps.append("with --record LOG, pghot replay LOG --start first-touch says what it pays")
    return [*steps, *_report(args)]


def print_steps(steps: Iterable[str]) -> None:
    """Print them, a line each."""
    from pghot.report.plain import plain
    from pghot.report.table import print_hint

    for step in steps:
        print_hint(f"Next: {plain(step)}")


def _report(args: argparse.Namespace) -> list[str]:
    if args.output:
        return [f"pghot report {shlex.quote(str(args.output))} -o report.html"]
    return ["with -o DIR, pghot report DIR -o report.html draws it"]
