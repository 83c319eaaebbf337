"""`pghot why`: from an event log, the life of a page, or what was refused and by what."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("events", metavar="DIR", type=Path, help="what --events DIR wrote")
    parser.add_argument("page", metavar="PFN | PID:ADDRESS", nargs="?", help="the page")
    parser.add_argument(
        "--refused", action="store_true", help="what was refused over the whole run, by reason"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(args: argparse.Namespace) -> int:
    """Look it up, and tell."""
    from pghot.errors import InputError
    from pghot.files.bounded import bounded_memory

    if (args.page is None) == (not args.refused):
        raise InputError("why: wants a page (PFN or PID:ADDRESS) or --refused")
    with bounded_memory(args.events):
        if args.refused:
            _tell_refused(args)
        else:
            _tell_life(args)
    return 0


def _tell_life(args: argparse.Namespace) -> None:
    from pghot.report.why import life_dict, print_life
    from pghot.why.life import life_of
    from pghot.why.page import parse_page

    life = life_of(args.events, parse_page(args.page))
    if args.json:
        print(json.dumps(life_dict(life), indent=2))
    else:
        print_life(life)


def _tell_refused(args: argparse.Namespace) -> None:
    from pghot.report.why import print_refusals
    from pghot.why.refused import refusals_of

    refusals = refusals_of(args.events)
    if args.json:
        print(json.dumps(refusals.to_dict(), indent=2))
    else:
        print_refusals(refusals)
