"""`pghot topology`: nodes, tiers, and how fast they are."""

from __future__ import annotations

import argparse
import json

TIERS_HELP = "node lists, fastest first, such as 0/1,2: the first is top tier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--tiers", metavar="NODES/NODES", help=TIERS_HELP)
    parser.add_argument("--json", action="store_true", help="print the topology as JSON")


def run(args: argparse.Namespace) -> int:
    """Read and print the topology."""
    from pghot.linux.host import Host
    from pghot.linux.topology import read_topology

    topology = read_topology(Host(), args.tiers)
    if args.json:
        print(json.dumps(topology.to_dict(), indent=2))
    else:
        from pghot.report.topology import print_topology

        print_topology(topology)
    return 0
