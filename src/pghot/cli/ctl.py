"""`pghot ctl`: tunables, counters and state of a run while it goes on (docs/ctl.md)."""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pghot.serving.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's verbs and their options."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    words = "print tunables and counters as NAME=VALUE (all tunables where none is named)"
    get = verbs.add_parser("get", help=words, description=f"{words[0].upper()}{words[1:]}.")
    get.add_argument("names", metavar="NAME", nargs="*", help="kernel name of one")
    get.add_argument("--json", action="store_true", help="print one JSON object")
    words = "write tunables, as echo VALUE > FILE would; the first that is refused ends it"
    put = verbs.add_parser("set", help=words, description=f"{words[0].upper()}{words[1:]}.")
    put.add_argument("settings", metavar="NAME=VALUE", nargs="+", help="by its kernel name")
    words = "print a line of state each second until the run ends"
    watch = verbs.add_parser("watch", help=words, description=f"{words[0].upper()}{words[1:]}.")
    watch.add_argument("--count", type=int, metavar="N", help="end after N lines")
    watch.add_argument("--json", action="store_true", help="print each state as a line of JSON")
    for verb in (get, put, watch):
        which = verb.add_mutually_exclusive_group()
        which.add_argument("--pid", type=int, metavar="PID", help="the run with this pid")
        which.add_argument(
            "--control", type=Path, metavar="PATH", help="the run that listens at this socket"
        )


def run(args: argparse.Namespace) -> int:
    """Find the run, connect, and do what was asked."""
    from pghot.serving.client import Client

    settings = _settings(args) if args.verb == "set" else []
    with Client(path_of_run(args)) as client:
        if args.verb == "get":
            _get(client, args.names, as_json=args.json)
        elif args.verb == "set":
            for name, value in settings:
                client.set(name, value)
        else:
            _watch(client, args.count, as_json=args.json)
    return 0


def _settings(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Read NAME=VALUE of each word, before any is written."""
    from pghot.errors import InputError

    settings = []
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"{text}: wants NAME=VALUE; pghot ctl get shows the names")
        settings.append((name, value))
    return settings


def path_of_run(args: argparse.Namespace) -> Path:
    """The socket that `--control` or `--pid` names, else that of the only run."""
    from pghot.cli.attached import control_directory
    from pghot.linux.guard import lock
    from pghot.serving.client import find_run

    if args.control is not None:
        path: Path = args.control
        return path
    directory = control_directory()
    roots = directory.parent == lock.STATE_DIR
    hint = "; pghot run -p PID starts one" if roots else "; for a run of root's: sudo pghot ctl"
    return find_run(directory, pid=args.pid, hint=hint)


def _get(client: Client, names: list[str], *, as_json: bool) -> None:
    values = client.get(names)
    if as_json:
        print(json.dumps(values))
    else:
        for name, value in values.items():
            print(f"{name}={value}")


def _watch(client: Client, count: int | None, *, as_json: bool) -> None:
    from pghot.errors import InputError
    from pghot.report.watch import WatchLine

    if count is not None and count < 1:
        raise InputError(f"--count {count}: wants 1 or more")
    line = WatchLine()
    lines = map(json.dumps, client.watch_plain()) if as_json else map(line.of, client.watch())
    for text in islice(lines, count):
        print(text, flush=True)
