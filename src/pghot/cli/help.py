"""`pghot help`: the page of a command, or a part of the documents."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="a command or a topic")


def run(args: argparse.Namespace) -> int:
    """Print it."""
    from pghot.cli.parser import COMMANDS
    from pghot.cli.topics import TOPICS, text_of
    from pghot.report.document import print_document, print_topics

    if args.topic is None:
        print_topics(COMMANDS, {name: topic.words for name, topic in TOPICS.items()})
    else:
        print_document(text_of(args.topic))
    return 0
