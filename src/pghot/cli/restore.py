"""`pghot restore`: host settings that a killed run left are put back."""

from __future__ import annotations

import argparse
import dataclasses
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Put back what a run left, and print it; 1 where something could not be."""
    from pghot.errors import PghotError
    from pghot.linux.guard.lock import refuse_unless_ours
    from pghot.linux.guard.settings_guard import recover
    from pghot.linux.host import Host

    refuse_unless_ours()
    restored = recover(Host())
    if args.json:
        print(json.dumps(dataclasses.asdict(restored), indent=2))
    else:
        for line in restored.lines():
            print(line)
        if not restored.line():
            print("nothing to put back")
    if restored.failures():
        raise PghotError("; ".join(restored.failures()))
    return 0
