"""`pghot top`: a run, a replay or a simulation as it goes."""

from __future__ import annotations

import argparse
import importlib.util
import json
from contextlib import closing
from itertools import islice
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pghot.serving.client import Client
    from pghot.top.feed import Feed
    from pghot.top.state import TopState
    from pghot.top.virtual_feed import VirtualFeed

POLICY = "pghot-hwhint"

_BOTH = ("replay", "sim")
_BELONG = {
    "speed": _BOTH,
    "at": _BOTH,
    "machine": ("replay",),
    "policy": ("sim",),
    "scale": ("sim",),
    "seed": ("sim",),
    "tunables": _BOTH,
}
"""Options that only make sense with others."""

LOOK_S = 0.5
"""How long a wait for a state is before it is looked whether one can still come."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    from pghot.cli.replay import add_engine_arguments

    what = parser.add_argument_group("what to watch (default: the run on this host)")
    what.add_argument("--pid", type=int, metavar="PID", help="the run with this pid")
    what.add_argument("--control", metavar="PATH", type=Path, help="the run that listens here")
    what.add_argument("--replay", metavar="LOG", type=Path, help="replay this access log")
    what.add_argument("--sim", metavar="SCENARIO", help="simulate this preset, or TOML file")
    parser.add_argument(
        "-d", "--delay", type=float, default=1.0, metavar="SECONDS", help="between states (1)"
    )
    parser.add_argument("--once", action="store_true", help="print one state as text, and end")
    parser.add_argument("--json", action="store_true", help="print one state as JSON, and end")
    virtual = parser.add_argument_group("of a replay or simulation")
    virtual.add_argument(
        "--speed", type=float, metavar="N", help="its seconds a second; 0: no waiting (1)"
    )
    virtual.add_argument(
        "--at", type=float, metavar="SECONDS", help="its time that --once shows (its end)"
    )
    virtual.add_argument(
        "--machine", metavar="FILE", type=Path, help="machine file (default: the log's own)"
    )
    virtual.add_argument("--policy", metavar="NAME", help=f"the simulation's (default: {POLICY})")
    virtual.add_argument("--scale", metavar="S", help="as for pghot sim")
    virtual.add_argument("--seed", metavar="N", help="as for pghot sim")
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Show it until it is left, or print one state."""
    _check(args)
    once = args.once or args.json
    if not once:
        _need_a_terminal()
    if once and not _is_virtual(args):
        return _print_one(*_states_of_run(args), as_json=args.json)
    feed = _feed(args, once=once)
    try:
        return _print_one(*_states(feed), as_json=args.json) if once else _show(feed)
    finally:
        feed.close()


def _show(feed: Feed) -> int:
    from pghot.top.app import TopApp

    app = TopApp(feed)
    app.run()
    if app.error is not None:
        raise app.error
    return app.return_code or 0


def _print_one(before: TopState | None, state: TopState, *, as_json: bool) -> int:
    from pghot.top.rates import rates_between
    from pghot.top.text import as_text

    if as_json:
        print(json.dumps(state.to_dict(), indent=2))
    else:
        print(as_text(state, rates_between(before, state)), end="")
    return 0


def _states_of_run(args: argparse.Namespace) -> tuple[TopState | None, TopState]:
    """Two states of a run, one where it ends meanwhile: with two there are rates."""
    from pghot.errors import PghotError
    from pghot.top.published import state_of_run

    client = _connect(args)
    with closing(client):
        states = [state_of_run(state) for state in islice(client.watch(), 2)]
    if not states:
        raise PghotError("the run is over")
    return (states[0] if len(states) > 1 else None), states[-1]


def _states(feed: VirtualFeed) -> tuple[TopState | None, TopState]:
    """Wait for the state that was asked for; and the one before, where there is one."""
    from pghot.errors import PghotError

    state = None
    while state is None:
        state = feed.next_state(LOOK_S)
        if state is None and feed.over:
            raise PghotError("it was over before it began")
    return feed.before, state


def _connect(args: argparse.Namespace) -> Client:
    from pghot.cli.ctl import path_of_run
    from pghot.serving.client import Client

    return Client(path_of_run(args))


def _is_virtual(args: argparse.Namespace) -> bool:
    return args.replay is not None or args.sim is not None


def _check(args: argparse.Namespace) -> None:
    from pghot.errors import InputError

    given = [getattr(args, name) is not None for name in ("pid", "control", "replay", "sim")]
    if sum(given) > 1:
        raise InputError("name one thing to watch: --pid, --control, --replay or --sim")
    for name in ("delay", "speed", "at"):
        value = getattr(args, name)
        if value is not None and not 0 <= value < inf:
            raise InputError(f"--{name} {value}: wants a number from 0 on")
    if args.delay <= 0:
        raise InputError("--delay 0: wants seconds above 0")
    for name, where in _BELONG.items():
        if getattr(args, name) and not any(getattr(args, place) is not None for place in where):
            option = "set" if name == "tunables" else name
            raise InputError(f"--{option} goes with --{' or --'.join(where)}")
    if args.sim is not None and (args.mode, args.fidelity) != ("default", "v7"):
        raise InputError("--mode and --fidelity: a simulation's --policy says them")
    if args.at is not None and not (args.once or args.json):
        raise InputError("--at goes with --once or --json")


def _need_a_terminal() -> None:
    import sys

    from pghot.errors import InputError, PghotError

    if importlib.util.find_spec("textual") is None:
        raise PghotError("top wants Textual: pip install 'pghot[top]'; --once does without")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):  # Textual draws on stderr
        raise InputError("top wants a terminal; --once prints one state")


def _feed(args: argparse.Namespace, *, once: bool) -> Any:
    speed = 0.0 if once else 1.0 if args.speed is None else args.speed
    until_s = (inf if args.at is None else args.at) if once else None
    if args.replay is not None:
        return _replay(args, speed, until_s)
    if args.sim is not None:
        return _simulation(args, speed, until_s)
    from pghot.top.socket_feed import SocketFeed

    return SocketFeed(lambda: _connect(args), period_s=args.delay)


def _replay(args: argparse.Namespace, speed: float, until_s: float | None) -> VirtualFeed:
    from pghot.cli.replay import settings_of
    from pghot.top.replay_feed import ReplayFeed

    settings = settings_of(argparse.Namespace(**vars(args) | {"source": None, "skip_bad": False}))
    feed = ReplayFeed(
        args.replay, args.machine, settings, speed=speed, period_s=args.delay, until_s=until_s
    )
    feed.start()
    return feed


def _simulation(args: argparse.Namespace, speed: float, until_s: float | None) -> VirtualFeed:
    from pghot.cli.sim import scenario_of, seed_of
    from pghot.errors import InputError
    from pghot.top.sim_feed import SimFeed

    more = {"scenario": args.sim, "settings": args.tunables, "policy": args.policy or POLICY}
    more["scale"] = args.scale or "1"
    scenario, _scale = scenario_of(argparse.Namespace(**vars(args) | more))
    seed = scenario.seed if args.seed is None else seed_of(args.seed)
    if len(scenario.policies) > 1:
        raise InputError(f"--policy {args.policy}: top shows one at a time")
    feed = SimFeed(
        scenario,
        scenario.policies[0],
        name=args.sim,
        seed=seed,
        speed=speed,
        period_s=args.delay,
        until_s=until_s,
    )
    feed.start()
    return feed
