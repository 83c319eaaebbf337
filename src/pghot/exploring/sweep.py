"""Running a grid: what has run already is kept, the rest goes to an executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet

from pghot.errors import InputError
from pghot.exploring.grid import Grid, Point, points_of
from pghot.exploring.groups import DIED, run_groups
from pghot.exploring.inputs import Input, canonical, load_inputs, version
from pghot.exploring.run_point import key_of
from pghot.exploring.store import TABLE, PointStore, open_store, read_grid, read_rows, write_grid
from pghot.exploring.sweep_result import Row, Sweep
from pghot.files.whole import SHARED, whole_file

Progress = Callable[[int, int], None]
"""Told the points that have ended and all there are."""


def sweep(
    grid: Grid,
    output: Path | str | None = None,
    *,
    executor: Executor | None = None,
    shard: tuple[int, int] = (1, 1),
    progress: Progress | None = None,
) -> Sweep:
    """Run every point of a grid; those that `output` has already are not run again.

    `executor`: any of `concurrent.futures`, as that of a cluster; None makes processes on
    all CPUs of this machine.  `shard` (i, n) runs every n-th point from the i-th on.  A point
    is named by its content: input, machine, settings and version of pghot.  A point that
    fails is a row with its error.  InputError for a grid or an input that cannot be used.

    >>> import pghot
    >>> grid = pghot.Grid(inputs=["examples/sqlite.parquet"], fast=["50%"],
    ...                   set={"freq_threshold": [1, 2]})
    >>> table = pghot.sweep(grid).to_arrow()
    >>> table["set.freq_threshold"].to_pylist()
    ['1', '2']
    """
    inputs = load_inputs(grid)
    points = points_of(grid, {name: given.policies for name, given in inputs.items()})
    mine = points[shard[0] - 1 :: shard[1]]
    with open_store(Path(output) if output is not None else None) as store:
        keys = {point.number: key_of(inputs[point.input], point) for point in mine}
        if store.path is not None:
            write_grid(store.path, _about(grid, inputs, len(points)) | {"keys": keys})
        ran = _run(mine, keys, inputs, store, executor, progress)
        rows = [
            store.rows[keys[point.number]] | axes(inputs[point.input], point) for point in mine
        ]
        found = Sweep(rows, ran)
        if store.path is not None:
            _write_table(store.path, found)
    return found


def merge(directories: Sequence[Path], output: Path) -> Sweep:
    """Put the shards of one sweep together in a directory of its own.

    InputError where two are of different grids, or a point is in none.
    """
    grids = [read_grid(path) for path in directories]
    found: dict[int, Row] = {}
    keys: dict[int, str] = {}
    for path, grid in zip(directories, grids, strict=True):
        if grid["id"] != grids[0]["id"]:
            raise InputError(f"{path}: is of another grid, or other inputs, than {directories[0]}")
        rows = read_rows(path)
        kept = {number: key for number, key in grid["keys"].items() if key in rows}
        keys |= kept
        found |= {number: rows[key] | {"point": number} for number, key in kept.items()}
    missing = grids[0]["points"] - len(found)
    if missing > 0:
        raise InputError(f"{missing} points are in none of the directories; run their shards")
    merged = Sweep([found[number] for number in sorted(found)])
    with open_store(output) as store:
        write_grid(output, grids[0] | {"keys": keys})
        for row in merged.rows:
            store.add(row)
        _write_table(output, merged)
    return merged


def axes(given: Input, point: Point) -> Row:
    """The columns of a point that say what it is."""
    pages = given.footprint.pages
    return {
        "point": point.number,
        "kind": given.kind,
        "input": point.input,
        "policy": point.policy,
        "fast": None if point.fast is None else point.fast.text,
        "fast_pages": None if point.fast is None else point.fast.of(pages),
        "footprint_pages": pages,
        "seed": point.seed,
        "settings": dict(point.settings),
    }


def _about(grid: Grid, inputs: Mapping[str, Input], points: int) -> dict[str, Any]:
    """What two shards must have in common."""
    digests = {name: given.digest for name, given in inputs.items()}
    content = {"version": version(), "grid": msgspec.to_builtins(grid), "inputs": digests}
    return {"id": sha256(canonical(content)).hexdigest(), "points": points} | content


def _run(
    points: Sequence[Point],
    keys: Mapping[int, str],
    inputs: Mapping[str, Input],
    store: PointStore,
    executor: Executor | None,
    progress: Progress | None,
) -> int:
    """Run what the store has not; how many that were."""
    waiting: dict[str, Point] = {}
    for point in points:
        key = keys[point.number]
        if key not in store.rows or store.rows[key]["error"] == DIED:
            waiting.setdefault(key, point)
    done = len(points) - len(waiting)
    tell = progress or (lambda _done, _all: None)
    tell(done, len(points))
    for row in run_groups(list(waiting.values()), inputs, executor):
        point = waiting[row["key"]]
        store.add(row | axes(inputs[point.input], point))
        done += 1
        tell(done, len(points))
    return len(waiting)


def _write_table(path: Path, found: Sweep) -> None:
    with whole_file(path / TABLE, force=True, mode=SHARED) as stream:
        pyarrow.parquet.write_table(found.to_arrow(), stream, compression="zstd")
