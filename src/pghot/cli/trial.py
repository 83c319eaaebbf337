"""The options of `pghot run --trial` (docs/trial.md)."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.live.options import LiveOptions
    from pghot.live.trial_plan import TrialPlan

NAMES = (
    "trial",
    "trial_block",
    "trial_warm_up",
    "trial_seed",
    "against",
    "metric_command",
    "better",
)
"""Arguments of a trial: of the command line alone, for a service would try again at each start."""

BLOCKS = 16
"""Blocks of a trial where their length is not given."""

LEAST_BLOCK_S = 1
MOST_SEED = 1 << 32


def add_trial_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("does it help? (a trial: promotion on and off in turn)")
    group.add_argument(
        "--trial", metavar="TIME", help="alternate for so long, such as 10m, and say what it did"
    )
    group.add_argument(
        "--trial-block", metavar="TIME", help="length of a block (a sixteenth of the trial)"
    )
    group.add_argument(
        "--trial-warm-up", metavar="TIME", help="left out of each block (a third of it)"
    )
    group.add_argument(
        "--trial-seed", metavar="N", type=int, help="draws the order of blocks (drawn anew)"
    )
    group.add_argument(
        "--against",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="try these tunables against the run's, not promotion off; may be repeated",
    )
    group.add_argument(
        "--metric-command",
        metavar="COMMAND",
        help="run in sh in each block, as the sudo user: prints the workload's figure, a number "
        "a line",
    )
    group.add_argument("--better", choices=("lower", "higher"), help="which numbers are better")


def plan_of(args: argparse.Namespace) -> TrialPlan | None:
    """What the options ask for, None for no trial; InputError where they cannot be."""
    from pghot.cli.advise_live import seconds_of
    from pghot.errors import InputError
    from pghot.live.trial_plan import TrialPlan

    if args.trial is None:
        for name in NAMES:
            if getattr(args, name) is not None and getattr(args, name) != []:
                raise InputError(f"--{name.replace('_', '-')}: wants --trial TIME")
        return None
    _refuse_others(args)
    whole = seconds_of(args.trial, "--trial")
    block = whole / BLOCKS
    if args.trial_block is not None:
        block = seconds_of(args.trial_block, "--trial-block")
    warm_up = block / 3
    if args.trial_warm_up is not None:
        warm_up = seconds_of(args.trial_warm_up, "--trial-warm-up")
    _check_lengths(args, block, warm_up)
    return TrialPlan(
        pairs=_pairs(args.trial, whole, block),
        block_s=block,
        warm_up_s=warm_up,
        seed=_seed(args.trial_seed),
        against=_against(args.against),
        metric_command=args.metric_command,
        better=args.better,
    )


def with_trial(options: LiveOptions, plan: TrialPlan | None) -> LiveOptions:
    """The options of a run that lasts as long as its trial."""
    return options if plan is None else dataclasses.replace(options, duration=plan.duration_s)


def _refuse_others(args: argparse.Namespace) -> None:
    import os

    from pghot.errors import InputError
    from pghot.linux.processes.sudo_user import sudo_account

    for name, given, why in (
        ("-d", args.duration is not None, "the trial says how long"),
        ("--dry-run", args.dry_run, "nothing would differ"),
        ("--record", args.record is not None, "a log would have half of the accesses"),
    ):
        if given:
            raise InputError(f"--trial and {name}: {why}; leave one of them out")
    if (args.metric_command is None) != (args.better is None):
        raise InputError("--metric-command and --better lower|higher: give both, or none")
    if args.metric_command is not None:
        if not args.metric_command.strip() or "\0" in args.metric_command:
            raise InputError("--metric-command: is empty, or holds a NUL character")
        sudo_account(os.environ)  # who it is to run as: now, not in the first block


def _check_lengths(args: argparse.Namespace, block: float, warm_up: float) -> None:
    from pghot.errors import InputError

    if block < LEAST_BLOCK_S:
        given = f"--trial {args.trial}" if args.trial_block is None else "--trial-block"
        raise InputError(
            f"{given}: blocks of {block:g} s; a block wants {LEAST_BLOCK_S} s, better a minute"
        )
    if not warm_up < block:
        raise InputError(f"--trial-warm-up: {warm_up:g} s leave nothing of a block of {block:g} s")


def _pairs(given: str, whole: float, block: float) -> int:
    from pghot.errors import InputError
    from pghot.results.paired import FEWEST, MOST

    pairs = int(whole / (2 * block) + 1e-9)
    if not FEWEST <= pairs <= MOST:
        raise InputError(
            f"--trial {given}: {pairs} pairs of blocks of {block:g} s; wants {FEWEST} to {MOST} "
            "pairs: fewer cannot tell a difference from chance"
        )
    return pairs


def _seed(given: int | None) -> int:
    from random import SystemRandom

    from pghot.errors import InputError

    if given is None:
        return SystemRandom().randrange(MOST_SEED)
    if not 0 <= given < MOST_SEED:
        raise InputError(f"--trial-seed {given}: wants 0 to {MOST_SEED - 1}")
    return given


def _against(texts: list[str]) -> dict[str, str]:
    from pghot.errors import InputError

    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise InputError(f"--against {text}: wants NAME=VALUE, each name once")
        found[name] = value
    return found
