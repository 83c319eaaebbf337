"""`pghot help`: a command's options, or a topic out of the documents."""

from __future__ import annotations

import argparse

HELP = "explain a command or a topic; without a topic, list them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="a command or a topic")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    raise NotImplementedError(args.topic)
