"""`pghot sweep`: a matrix of runs, kept as they end; `pghot sweep merge` of its shards."""

from __future__ import annotations

import argparse
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pghot.exploring.grid import Grid
    from pghot.exploring.sweep_result import Sweep

MERGE = "merge"


OPTIONS = {
    "--fast": ("SIZE,...", "sizes of fast memory: 8G, 25%% of what is touched"),
    "--policy": (
        "NAME,...",
        "of a log v7, v7-precise, improved, ...; of a scenario pghot sim --list",
    ),
    "--seed": ("N,...", "seeds of scenarios"),
    "--scale": ("S", "run a slice of each scenario: 0.25 or 1/4"),
    "--machine": ("FILE", "machine of the logs (default: each log's own)"),
    "--start": (
        "NAME",
        "where a log's pages begin: logged (default), first-touch, interleave, slow",
    ),
    "--shard": ("I/N", "run the I-th of N parts, for arrays of cluster jobs"),
    "--dask": ("ADDRESS", "run on the workers of this Dask scheduler"),
}
"""Options with one text each, and what it is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "inputs",
        metavar="LOG|SCENARIO",
        nargs="*",
        help="access logs, scenario files, presets; merge DIR... puts shards together",
    )
    parser.add_argument(
        "--grid", metavar="FILE.toml", type=Path, help="read the matrix; options add to it"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE,...",
        action="append",
        default=[],
        help="values of a tunable, or of a scenario's setting; may be repeated",
    )
    for name, (metavar, words) in OPTIONS.items():
        parser.add_argument(name, metavar=metavar, help=words)
    parser.add_argument(
        "--skip-bad", action="store_true", help="skip bad rows of the logs instead of stopping"
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="DIR",
        type=Path,
        required=True,
        help="keep the points here; what is there already is not run again",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON line a point")


def run(args: argparse.Namespace) -> int:
    """Run what is not there yet, or merge, and tell."""
    from pghot.report.sweep import print_sweep

    found = _merged(args) if args.inputs[:1] == [MERGE] else _swept(args)
    print_sweep(found, args.output, as_json=args.json)
    return 1 if found.rows and len(found.failed) == len(found.rows) else 0


def _merged(args: argparse.Namespace) -> Sweep:
    from pghot.errors import InputError
    from pghot.exploring.sweep import merge

    if len(args.inputs) < 2:
        raise InputError("sweep merge: wants the directories of shards")
    return merge([Path(name) for name in args.inputs[1:]], args.output)


def _swept(args: argparse.Namespace) -> Sweep:
    from pghot.exploring.sweep import sweep
    from pghot.report.progress import points_progress

    grid = _grid(args)
    shard = _shard(args.shard)
    with ExitStack() as stack:
        executor = None
        if args.dask:
            from pghot.exploring.on_dask import dask_executor

            executor = stack.enter_context(dask_executor(args.dask))
        progress = stack.enter_context(points_progress())
        return sweep(grid, args.output, executor=executor, shard=shard, progress=progress)


def _grid(args: argparse.Namespace) -> Grid:
    """Put the file and the options together; options win."""
    from pghot.cli.sim import scale_of
    from pghot.errors import InputError
    from pghot.exploring.grid import Grid
    from pghot.tables import read_toml

    table: dict[str, Any] = read_toml(args.grid) if args.grid else {}
    given = {
        "inputs": args.inputs,
        "fast": _list(args.fast),
        "policy": _list(args.policy),
        "seed": list(map(_seed, _list(args.seed))),
        "scale": None if args.scale is None else scale_of(args.scale),
        "machine": args.machine,
        "start": args.start,
        "skip_bad": args.skip_bad or None,
    }
    table |= {key: value for key, value in given.items() if value not in (None, [])}
    for text in args.settings:
        name, equals, values = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: wants NAME=VALUE,...; see pghot help tunables")
        table["set"] = {**table.get("set", {}), name: _list(values)}
    if not table.get("inputs"):
        raise InputError("sweep: wants a LOG or a SCENARIO, here or in --grid")
    return Grid.from_dict(table, str(args.grid or "sweep"))


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _seed(text: str) -> int:
    from pghot.errors import InputError

    try:
        return int(text)
    except ValueError:
        raise InputError(f"--seed {text}: wants a whole number") from None


def _shard(text: str | None) -> tuple[int, int]:
    from pghot.errors import InputError

    if text is None:
        return 1, 1
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise InputError(f"--shard {text}: wants I/N with I from 1 to N, such as 2/8")
    return int(match[1]), int(match[2])
