"""`pghot config`: what a configuration file of `pghot run` says, checked or in effect."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pghot.cli.config_file import MergedOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say whether a run would take FILE; changes nothing")
    check.add_argument("file", metavar="FILE", type=Path)
    show = actions.add_parser("show", help="show every value in effect, and where it comes from")
    show.add_argument("file", metavar="FILE", type=Path, nargs="?", help="(default: none)")
    show.add_argument("--json", action="store_true", help="print it as JSON")


def run(args: argparse.Namespace) -> int:
    """Check or show."""
    from pghot.cli.config_file import load_config, merge_options
    from pghot.cli.run import requests_of
    from pghot.errors import InputError

    config = load_config(args.file) if args.file else None
    merged = merge_options(_command_line(), config, str(args.file))
    if args.action == "show":
        print(json.dumps(_content(merged), indent=2) if args.json else _toml(merged))
        return 0
    try:
        requests_of(merged.args)
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from error
    print(f"{args.file}: a run would take it")
    return 0


def _command_line() -> argparse.Namespace:
    """The arguments of `pghot run` without any option."""
    from pghot.cli import run

    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return parser.parse_args([])


def _content(merged: MergedOptions) -> dict[str, Any]:
    """Every key with its value, None where there is none, and where that comes from."""
    content: dict[str, Any] = {
        key: {"value": _plain(value), "from": merged.origins[key]}
        for key, value in merged.values.items()
    }
    return content | {
        "tunables": {
            name: {"value": value, "from": origin} for name, value, origin in _tunables(merged)
        }
    }


def _toml(merged: MergedOptions) -> str:
    """A file that would do the same, with a remark on each line; what is unset, as one."""
    lines = []
    for key, value in merged.values.items():
        text, origin = _plain(value), merged.origins[key]
        if text is None:
            lines.append(f"# {key}: not set")
        else:
            lines.append(f"{key} = {json.dumps(text, ensure_ascii=False)}  # {origin}")
    lines += ["", "[tunables]"]
    for name, value, origin in _tunables(merged):
        if value is None:
            lines.append(f"# {name}: as the host is")
        else:
            lines.append(f"{name} = {json.dumps(value)}  # {origin}")
    return "\n".join(lines)


def _tunables(merged: MergedOptions) -> Iterator[tuple[str, int | str | None, str]]:
    """Each tunable that a run may set, its value and where that comes from."""
    from pghot.cli.config_check import OF_THE_HOST, default_tunables
    from pghot.cli.config_file import DEFAULT
    from pghot.engine.tunables import ALIASES

    known = default_tunables(merged.args.mode, merged.args.fidelity)
    for name, value in (dict.fromkeys(OF_THE_HOST) | known).items():
        if name in ALIASES and name not in merged.tunables:
            continue
        if name in merged.tunables:
            yield name, merged.tunables[name], merged.tunable_origins[name]
        else:
            yield name, value, DEFAULT


def _plain(value: Any) -> Any:
    """A value as the file holds it; None for one that is not set."""
    return None if value is None or value == [] else value
