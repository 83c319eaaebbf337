"""The parser of the whole command line, built from the modules of the commands."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from pghot.engine.did_you_mean import perhaps

COMMANDS = {
    "demo": (
        "replay the shipped log of a real program on a two-tier machine and show what came of it"
    ),
    "replay": (
        "replay an access log on a machine: what would have been promoted, when, and the counters"
    ),
    "sim": "simulate a tiered machine: what promotion does for a workload, policy by policy",
    "curve": "say how many accesses of a log each size of fast memory would serve",
    "sweep": "run a matrix of sizes, policies and settings; what has run is kept",
    "advise": "say how much fast memory, which settings, and whether to promote at all",
    "why": "say why a page moved or did not, from the event log of a run, replay or simulation",
    "report": (
        "write a report of results as one HTML file that opens offline; several are compared"
    ),
    "convert": "make an access log from another tool's trace: perf, DAMON, lackey, CSV, others",
    "run": "promote the hot pages of processes on this host (needs root, two tiers)",
    "ctl": "read and set the tunables of a running pghot run, and watch it",
    "top": "watch a running pghot run, or a replay or simulation, on the terminal",
    "record": "record the memory accesses of processes on this host to an access log (needs root)",
    "config": "check a configuration file of pghot run, or show what is in effect",
    "topology": "show the host's nodes: memory, tiers, which are top tier and why",
    "doctor": "say whether pghot run could work here, and what is missing; changes nothing",
    "restore": "put back the host settings that a killed pghot run changed",
    "help": "explain a command or a topic; without one, list them",
    "completion": "print the completion of pghot for a shell: bash, zsh or fish",
}
"""Modules of this package and what each is for; each has add_arguments and run."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, as for every other error."""

    def error(self, message: str) -> NoReturn:
        """Print it with the help to read, and exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name what is nearest to a choice that there is not, beside all that there are."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        raise argparse.ArgumentError(
            action, f"no {value!r}; {perhaps(str(value), choices)}there are {', '.join(choices)}"
        )

    def parse_args(  # type: ignore[override]  # the type of its namespace is the caller's
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse all; what is left over is an error of the command that it was given to."""
        parsed, over = self.parse_known_args(args, namespace)
        if over:
            _refuse_left_over(subparsers_of(self).get(getattr(parsed, "command", ""), self), over)
        return parsed


def _refuse_left_over(parser: argparse.ArgumentParser, over: Sequence[str]) -> NoReturn:
    """Name the first argument that a command does not take, and the option nearest to it."""
    name = over[0].partition("=")[0]
    if name.startswith("-"):
        options = parser._option_string_actions  # noqa: SLF001 - argparse has no public list of them
        near = perhaps(name, (option for option in options if option.startswith("--")))
        parser.error(f"no option {name}{', ' + near.rstrip('? ') if near else ''}")
    parser.error(f"takes no argument {over[0]!r}")


def command_module(name: str) -> ModuleType:
    """The module of a command."""
    return importlib.import_module(f"pghot.cli.{name}")


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """The parser; the command that was chosen is in `command`.

    It knows the arguments of every command; for a command line (`words`), those of the
    command in it alone, whose module is then the only one that is imported.
    """
    from pghot import __version__

    parser = Parser(
        prog="pghot",
        description="Hot-page tracking and promotion for machines with two kinds of memory.",
        epilog="Exit status: 0 ok, 1 failed, 2 usage or input. pghot help TOPIC says more.",
    )
    parser.add_argument("--version", action="version", version=f"pghot {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = None if words is None else next(filter(COMMANDS.__contains__, words), "")
    for name, about in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=about, description=about)
        if chosen in {None, name}:
            command_module(name).add_arguments(subparser)
    return parser


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of what a parser lets choose, by name; none for a leaf."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}
