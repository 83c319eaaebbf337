"""`pghot topology`: nodes, tiers, and how fast they are."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.linux.nodes.topology import Topology

TIERS_HELP = "node lists, fastest first, such as 0/1,2: the first is top tier"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("--tiers", metavar="NODES/NODES", help=TIERS_HELP)
    parser.add_argument("--json", action="store_true", help="print the topology as JSON")
    parser.add_argument(
        "-o", dest="output", metavar="FILE", type=Path, help="write a machine file of this host"
    )
    parser.add_argument("--force", action="store_true", help="write over FILE")


def run(args: argparse.Namespace) -> int:
    """Read and print the topology."""
    from pghot.linux.host import Host
    from pghot.linux.nodes.topology import read_topology

    topology = read_topology(Host(), args.tiers)
    if args.output:
        _write(topology, args.output, force=args.force)
    if args.json:
        print(json.dumps(topology.to_dict(), indent=2))
    else:
        from pghot.report.topology import print_topology

        print_topology(topology)
    return 0


def _write(topology: Topology, path: Path, *, force: bool) -> None:
    """Write the machine file; what it says less than the host knows is told."""
    from pghot.files.whole import SHARED, whole_file
    from pghot.linux.nodes.machine_form import machine_form, with_latencies
    from pghot.log.machine_text import machine_text

    form = with_latencies(machine_form(topology), topology)
    with whole_file(path, force=force, mode=SHARED) as stream:
        stream.write(machine_text(form.content, form.notes).encode())
    for note in form.notes:
        print(f"note: {note}", file=sys.stderr)
