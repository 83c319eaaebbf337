"""`pghot demo`: the shipped log of a real program, replayed on its two-tier machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.linux.host import Host


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.replay import add_engine_arguments

    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print summary.json, nothing else")


def run(args: argparse.Namespace) -> int:
    """Replay the shipped log."""
    from pghot.cli import replay
    from pghot.cli.shipped import shipped

    more = {
        "log": shipped("sqlite.parquet", "examples"),
        "machine": None,
        "source": None,
        "output": None,
        "events": None,
        "force": False,
        "skip_bad": False,
    }
    status = replay.run(argparse.Namespace(**(vars(args) | more)))
    if not args.json:
        from pghot.linux.host import Host
        from pghot.report.table import print_hint

        print_hint(
            "Promoted later it pays: pghot demo --set pghot_promote_rate_limit_MBps=1\n"
            "With demotion: pghot sim --log LOG on the same log.\n"
            "The log: SQLite makes an index and answers skewed queries (examples/README.md).\n"
            "Your own: pghot convert --help, then pghot replay LOG --machine FILE."
        )
        for line in live_hint(Host()):
            print_hint(line)
    return status


def live_hint(host: Host) -> list[str]:
    """Point to `pghot run` where the host has a fast and a slow node."""
    from pghot.errors import PghotError
    from pghot.linux.nodes.topology import read_topology

    try:
        topology = read_topology(host)
    except (PghotError, OSError, ValueError):
        return []
    if not (topology.slow and topology.fast):
        return []
    return ["This machine has a fast and a slow node: sudo pghot run -p PID promotes for real."]
