"""Options that `run` and `record` share: who is watched, by what, for how long."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.options import LiveOptions

PACE = {
    "scan_delay_ms": ("MS", "wait so long before a new process is scanned"),
    "scan_period_min_ms": ("MS", "least time between two scans of a process"),
    "scan_period_max_ms": ("MS", "most time between two scans of a process"),
    "scan_size_mb": ("MIB", "memory scanned in one go"),
}
"""Settings of debugfs sched/numa_balancing, as options of the same names."""


BUDGETS = {
    "fault_budget": (1.0, "hint faults cost the targets no more of their CPU time"),
    "sample_budget": (3.0, "reading them costs pghot no more of a CPU"),
}
"""What hint faults may cost: the scan's size follows, unless it is given."""

MOST_PERCENT = 1000
"""Percent of a CPU that a budget may be."""

MOST_S = 1e9
"""Seconds that a run may be asked to last; without -d it lasts as long as there is something."""


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from pghot.cli.topology import TIERS_HELP

    who = parser.add_argument_group("what to watch (one of these)")
    who.add_argument("-p", dest="pids", metavar="PID,...", help="these processes and children")
    who.add_argument("-a", dest="everything", action="store_true", help="every process")
    who.add_argument("-G", dest="cgroup", metavar="CGROUP", help="a control group and all below")
    who.add_argument(
        "words", nargs="*", metavar="-- COMMAND", help="start this and watch it until it ends"
    )
    parser.add_argument(
        "--allow-new-privileges",
        action="store_true",
        help="let COMMAND gain rights by what it executes (sudo, ping)",
    )
    parser.add_argument(
        "-d", "--duration", type=float, metavar="SECONDS", help="end after so long"
    )
    parser.add_argument("--tiers", metavar="NODES/NODES", help=TIERS_HELP)
    parser.add_argument(
        "--source",
        metavar="NAME,...",
        help="hintfault, hwhint, external:PATH (default: the first two, if the host has them)",
    )
    pace = parser.add_argument_group("pace of the kernel's scan for hint faults (put back)")
    for name, (metavar, words) in PACE.items():
        pace.add_argument(
            f"--{name.replace('_', '-')}", dest=name, type=int, metavar=metavar, help=words
        )
    for name, (default, words) in BUDGETS.items():
        pace.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            metavar="PERCENT",
            default=default,
            help=f"{words} ({default:g})",
        )


def options_of(args: argparse.Namespace) -> LiveOptions:
    """What the options ask for; InputError where they cannot be."""
    from pghot.errors import InputError
    from pghot.linux.processes.targets import parse_pids
    from pghot.live.cost_budget import CostBudget
    from pghot.live.options import LiveOptions, default_pace

    given = [args.pids is not None, args.everything, args.cgroup is not None, bool(args.words)]
    if sum(given) != 1:
        raise InputError("name what to watch: one of -p PID, -a, -G CGROUP, -- COMMAND")
    if args.duration is not None and not 0 < args.duration < MOST_S:
        raise InputError(f"--duration {args.duration}: wants seconds above 0 and below {MOST_S:g}")
    pace = {name: getattr(args, name) for name in PACE if getattr(args, name) is not None}
    for name, value in pace.items():
        if value < 0:
            raise InputError(f"--{name.replace('_', '-')} {value}: wants 0 or more")
    for name in BUDGETS:
        if not 0 < getattr(args, name) <= MOST_PERCENT:
            raise InputError(
                f"--{name.replace('_', '-')} {getattr(args, name):g}: wants percent, above 0 and "
                f"up to {MOST_PERCENT}"
            )
    budget = CostBudget(args.fault_budget / 100, args.sample_budget / 100)
    return LiveOptions(
        pids=tuple(parse_pids(args.pids)) if args.pids is not None else (),
        everything=args.everything,
        cgroup=args.cgroup,
        command=tuple(args.words or ()),
        sources=() if args.source is None else tuple(map(str.strip, args.source.split(","))),
        tiers=args.tiers,
        pace=default_pace()._replace(**pace),
        duration=args.duration,
        hangup_stops=getattr(args, "config", None) is None,
        new_privileges=args.allow_new_privileges,
        budget=None if args.scan_size_mb is not None else budget,
    )
