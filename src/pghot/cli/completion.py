"""`pghot completion`: what a shell needs to complete pghot's command lines."""

from __future__ import annotations

import argparse

FILES = {"bash": "pghot.bash", "zsh": "_pghot", "fish": "pghot.fish"}
"""By shell; `scripts/completions.py` makes them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", metavar="SHELL", choices=tuple(FILES), help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from pghot.cli.shipped import shipped

    print(shipped(FILES[args.shell], "share/completions").read_text(encoding="utf-8"), end="")
    return 0
