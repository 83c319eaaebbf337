"""`pghot help`: the page of a command, or a part of the documents."""

from __future__ import annotations

import argparse

HELP = "explain a command or a topic; without one, list them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="a command or a topic")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from pghot.cli.topics import text_of
    from pghot.report.document import print_document, print_topics

    if args.topic is None:
        print_topics(_commands(), _topics())
    else:
        print_document(text_of(args.topic))
    return 0


def _commands() -> dict[str, str]:
    from pghot.cli.parser import COMMANDS, command_module

    return {name: command_module(name).HELP for name in COMMANDS}


def _topics() -> dict[str, str]:
    from pghot.cli.topics import TOPICS

    return {name: topic.words for name, topic in TOPICS.items()}
