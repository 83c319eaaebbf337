"""What a point runs on: a log with its machine, or a scenario, and the digest of its content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

import pghot
from pghot.errors import InputError, PghotError
from pghot.exploring.fast_node import Footprint, footprint_of_log, footprint_of_scenario
from pghot.exploring.grid import Grid, is_scenario
from pghot.log.machine import Machine
from pghot.log.read import open_log
from pghot.replaying.replay import machine_of
from pghot.replaying.start import LOGGED
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import load_scenario
from pghot.simulated.scenario.scaling import scaled
from pghot.simulated.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a sweep, as plain values that any machine can be sent.

    `source`: the path or URL of a log, or a scenario's name.  `digest`: SHA-256 of all that
    it is.  `machine` and `scenario` are plain data of the one that it has.
    """

    kind: str
    source: str
    digest: str
    footprint: Footprint
    machine: dict[str, Any] | None = None
    scenario: dict[str, Any] | None = None
    policies: tuple[str, ...] = ("v7",)
    skip_bad: bool = False
    start: str = LOGGED


def load_inputs(grid: Grid) -> dict[str, Input]:
    """Read every input of a grid once; InputError for one that cannot be used."""
    return {name: _load(name, grid) for name in grid.inputs}


def _load(name: str, grid: Grid) -> Input:
    if is_scenario(name):
        scenario = scaled(load_scenario(name, POLICIES), grid.scale)
        plain = msgspec.to_builtins(scenario)
        return Input(
            "simulation",
            name,
            sha256(canonical(plain)).hexdigest(),
            footprint_of_scenario(scenario),
            scenario=plain,
            policies=scenario.policies,
        )
    with local(name) as path:
        content = _digest(path, name)
        with open_log(path) as log:
            machine = machine_of(log, grid.machine)
        footprint = footprint_of_log(path, machine)
    if not footprint.pages:
        raise InputError(f"{name}: has no row, so there is nothing to replay")
    plain = machine.to_dict()
    own = None if grid.machine is None else plain
    parts = {"log": content, "machine": own, "skip_bad": grid.skip_bad, "start": grid.start}
    return Input(
        "replay",
        name,
        sha256(canonical(parts)).hexdigest(),
        footprint,
        machine=own,
        skip_bad=grid.skip_bad,
        start=grid.start,
    )


def _digest(path: Path, name: str) -> str:
    """The SHA-256 of a log's content; of a directory of parts, that of them all."""
    digest = sha256()
    try:
        for part in sorted(path.iterdir()) if path.is_dir() else [path]:
            with part.open("rb") as stream:
                digest.update(file_digest(stream, "sha256").digest())
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}") from error
    return digest.hexdigest()


def scenario_of(given: Input) -> Scenario:
    """The scenario of an input that is one."""
    return msgspec.convert(given.scenario, Scenario)


def machine_named(given: Input) -> Machine | None:
    """The machine that was named for a log; None for the log's own."""
    return None if given.machine is None else Machine.from_dict(given.machine)


@contextmanager
def local(source: str) -> Iterator[Path]:
    """A file of this machine with an input's content: itself, or a copy of a URL's.

    URLs are read by fsspec (extra `pghot[dask]`).  PghotError where they cannot be.
    """
    if "://" not in source:
        yield Path(source)
        return
    try:
        import fsspec  # noqa: PLC0415 - few inputs are URLs
    except ImportError:
        raise PghotError(
            f"{source}: URLs need the package fsspec: pip install 'pghot[dask]'"
        ) from None
    with TemporaryDirectory(prefix="pghot-") as folder:
        path = Path(folder, source.rpartition("/")[2] or "log.parquet")
        try:
            fsspec.filesystem(source.partition("://")[0]).get_file(source, str(path))
        except Exception as error:
            why = " ".join(str(error).split()) or type(error).__name__
            raise InputError(f"{source}: cannot be read: {why}") from error
        yield path


def canonical(data: Mapping[str, Any]) -> bytes:
    """Plain data as bytes that are the same for the same content."""
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


@cache
def version() -> str:
    """The version of pghot and a digest of its sources: what ran."""
    root = Path(__file__).parents[1]
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{pghot.__version__}+{digest.hexdigest()[:12]}"
