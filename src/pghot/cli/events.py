"""Options that `replay`, `run` and `sim` share: an event log beside what they do."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.log.events import Events


def add_events_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--events", metavar="DIR", type=Path, help="log what becomes of every page (pghot why)"
    )
    parser.add_argument(
        "--events-limit",
        metavar="SIZE",
        default="256MiB",
        help="drop the oldest events beyond so much (256MiB)",
    )


@contextmanager
def events_of(args: argparse.Namespace) -> Iterator[Events | None]:
    """Create the event log that is asked for, if any; InputError where it cannot be."""
    if args.events is None:
        yield None
        return
    from pghot.engine.sizes import parse_size
    from pghot.errors import InputError
    from pghot.log.events import create_events

    try:
        limit = parse_size(args.events_limit)
    except ValueError as error:
        raise InputError(f"--events-limit: {error}") from None
    with create_events(args.events, limit, force=args.force) as events:
        yield events
