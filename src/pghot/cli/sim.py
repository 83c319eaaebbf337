"""`pghot sim`: a scenario on a simulated tiered machine, one policy beside another."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.results.provenance import LogFacts
    from pghot.simulated.scenario.scenario import Scenario


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.events import add_events_arguments

    parser.add_argument(
        "scenario", metavar="SCENARIO", nargs="?", help="a preset's name, or a TOML file"
    )
    parser.add_argument(
        "--log", metavar="LOG", type=Path, help="simulate the accesses of this log, at its times"
    )
    parser.add_argument(
        "--machine", metavar="FILE", type=Path, help="with --log: machine file (the log's own)"
    )
    parser.add_argument(
        "--closed-loop",
        action="store_true",
        help="with --log: each access follows the one before, whatever the log's times",
    )
    parser.add_argument("--list", action="store_true", help="show the presets and the policies")
    parser.add_argument(
        "--show", metavar="PRESET", help="print a preset as TOML, to start a scenario from"
    )
    parser.add_argument(
        "--policy", metavar="NAME,...", help="run these policies (default: the scenario's)"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="set a tunable by its kernel name, or a value of the scenario; may be repeated",
    )
    parser.add_argument(
        "--scale", metavar="S", default="1", help="run a slice of the machine: 0.25 or 1/4"
    )
    parser.add_argument(
        "--seed", metavar="N", help="draw other accesses (default: the scenario's)"
    )
    parser.add_argument("--json", action="store_true", help="print summary.json, nothing else")
    add_events_arguments(parser)
    parser.add_argument("-o", dest="output", metavar="DIR", type=Path, help="write results to DIR")
    parser.add_argument("--force", action="store_true", help="write to DIR though it is not empty")


def run(args: argparse.Namespace) -> int:
    """Run each policy, write the files, and tell."""
    from pghot.errors import InputError

    if args.list:
        _list(as_json=args.json)
        return 0
    if args.show is not None:
        from pghot.simulated.scenario.file import preset_text

        print(preset_text(args.show), end="")
        return 0
    if args.log is not None:
        return _of_log(args)
    if args.machine is not None or args.closed_loop:
        raise InputError("sim: --machine and --closed-loop go with --log")
    if args.scenario is None:
        raise InputError("sim: wants a SCENARIO; pghot sim --list shows the presets")
    scenario, scale = scenario_of(args)
    seed = scenario.seed if args.seed is None else seed_of(args.seed)
    return _compare(args, scenario, scale, seed)


def scenario_of(args: argparse.Namespace) -> tuple[Scenario, float]:
    """The scenario as the options have it, and its scale; InputError where it is none."""
    from pghot.simulated.policies.registry import POLICIES
    from pghot.simulated.scenario.file import load_scenario
    from pghot.simulated.scenario.scaling import scaled

    scenario = _as_asked(args, load_scenario(args.scenario, POLICIES))
    scale = scale_of(args.scale)
    return scaled(scenario, scale), scale


def _as_asked(args: argparse.Namespace, scenario: Scenario) -> Scenario:
    """The scenario with the settings and the policies of the options."""
    import msgspec

    from pghot.simulated.policies.registry import POLICIES
    from pghot.simulated.scenario.file import checked
    from pghot.simulated.scenario.settings import with_settings

    scenario = with_settings(scenario, args.settings, POLICIES)
    if args.policy is not None:
        names = tuple(name.strip() for name in args.policy.split(","))
        scenario = msgspec.structs.replace(scenario, policies=names)
        checked(scenario, f"--policy {args.policy}", POLICIES)
    return scenario


def _of_log(args: argparse.Namespace) -> int:
    """Simulate the accesses of a log."""
    from pghot.errors import InputError
    from pghot.replaying.as_scenario import scenario_of_log

    if args.scenario is not None or args.scale != "1":
        raise InputError("sim: --log takes no SCENARIO and no --scale")
    scenario, facts = scenario_of_log(args.log, args.machine, closed_loop=args.closed_loop)
    scenario = _as_asked(args, scenario)
    args.scenario = str(args.log)
    seed = scenario.seed if args.seed is None else seed_of(args.seed)
    return _compare(args, scenario, 1.0, seed, facts)


def _compare(
    args: argparse.Namespace,
    scenario: Scenario,
    scale: float,
    seed: int,
    log: LogFacts | None = None,
) -> int:
    from pghot.cli.events import events_of
    from pghot.cli.made import made
    from pghot.errors import InputError
    from pghot.report.comparison import Comparison
    from pghot.report.progress import time_progress
    from pghot.simulated.policies.registry import BOUNDS
    from pghot.simulated.policies.simulate import simulate

    if args.events and len(scenario.policies) != 1:
        raise InputError("--events: wants one policy; choose it with --policy")
    with contextlib.ExitStack() as stack:
        output = None
        if args.output:
            from pghot.report.sim_files import sim_directory

            output = stack.enter_context(sim_directory(args.output, force=args.force))
        events = stack.enter_context(events_of(args))
        with time_progress(scenario.policies) as progress:
            outcomes = [
                simulate(
                    scenario,
                    policy,
                    seed=seed,
                    progress=progress(policy),
                    observe=events.log if events else None,
                )
                for policy in scenario.policies
            ]
        bounds = {
            name: simulate(scenario, policy, seed=seed).run_s
            for name, policy in BOUNDS.items()
            if not any(threads.paced for threads in scenario.threads)
        }
        comparison = Comparison(
            args.scenario, scenario, scale, seed, outcomes, made(args), log, bounds
        )
        if output:
            output.finish(comparison)
    if args.json:
        print(json.dumps(comparison.summary(), indent=2))
    else:
        from pghot.cli.next_steps import after_sim, print_steps
        from pghot.report.sim import print_comparison

        print_comparison(comparison)
        print_steps(after_sim(args))
    return 0


def _list(*, as_json: bool) -> None:
    from pghot.simulated.policies.registry import POLICIES
    from pghot.simulated.scenario.file import load_scenario, presets

    shows = {name: load_scenario(name, POLICIES).shows for name in presets()}
    if as_json:
        print(json.dumps({"presets": shows, "policies": dict(POLICIES)}, indent=2))
    else:
        from pghot.report.sim import print_list

        print_list(shows, POLICIES)


def scale_of(text: str) -> float:
    """The scale that an option names; InputError where it is none."""
    from fractions import Fraction

    from pghot.errors import InputError

    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise InputError(f"--scale {text}: wants a number such as 0.25 or 1/4") from None


def seed_of(text: str) -> int:
    """The seed that an option names; InputError where it is none."""
    from pghot.errors import InputError

    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise InputError(f"--seed {text}: wants a whole number from 0 on")
    return int(text)
