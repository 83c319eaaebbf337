"""The parser of the whole command line, built from the modules of the commands."""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType
from typing import NoReturn

COMMANDS = (
    "demo",
    "replay",
    "sim",
    "why",
    "report",
    "convert",
    "run",
    "ctl",
    "top",
    "record",
    "config",
    "topology",
    "doctor",
    "restore",
    "help",
    "completion",
)
"""Modules of this package; each has HELP, add_arguments and run, and imports little."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, as for every other error."""

    def error(self, message: str) -> NoReturn:
        """Say it, name the help, and give status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def command_module(name: str) -> ModuleType:
    """Give the module of a command."""
    return importlib.import_module(f"pghot.cli.{name}")


def build_parser() -> argparse.ArgumentParser:
    """Give the parser; the command that was chosen is in `command`."""
    from pghot import __version__

    parser = Parser(
        prog="pghot",
        description="Hot-page tracking and promotion for machines with two kinds of memory.",
        epilog="Exit status: 0 ok, 1 failed, 2 usage or input. pghot help TOPIC says more.",
    )
    parser.add_argument("--version", action="version", version=f"pghot {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = command_module(name)
        subparser = subparsers.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(subparser)
    return parser


def subparsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Give the parsers of what a parser lets choose, by name; none for a leaf."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}
