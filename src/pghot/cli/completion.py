"""`pghot completion`: what a shell needs to complete pghot's command lines."""

from __future__ import annotations

import argparse

HELP = "print the completion of pghot for a shell"

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    raise NotImplementedError(args.shell)
