"""`pghot doctor`: what works here, what is missing, and the command that would grant it."""

from __future__ import annotations

import argparse
import json

from pghot.cli.topology import TIERS_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--tiers", metavar="NODES/NODES", help=TIERS_HELP)
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def run(args: argparse.Namespace) -> int:
    """Look, print, and give 0 where `pghot run` could work, else 1."""
    from pghot.linux.doctor.doctor import diagnose
    from pghot.linux.host import Host

    diagnosis = diagnose(Host(), args.tiers)
    if args.json:
        print(json.dumps(diagnosis.to_dict(), indent=2))
    else:
        from pghot.report.doctor import print_diagnosis

        print_diagnosis(diagnosis)
    return 0 if diagnosis.can_run else 1
