"""One point, or those of one input, run: what a worker does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any

from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.errors import PghotError
from pghot.exploring.fast_node import machine_with, scenario_with
from pghot.exploring.figures import figures_of_outcome, figures_of_result
from pghot.exploring.grid import ENGINES, Point
from pghot.exploring.inputs import Input, canonical, local, machine_named, scenario_of, version
from pghot.exploring.kept_log import LastLog, kept_log
from pghot.log.machine import Machine
from pghot.log.read import Log, open_log
from pghot.replaying.replay import machine_of, replay
from pghot.replaying.settings import Settings
from pghot.replaying.start import LOGGED
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.policies.simulate import simulate
from pghot.simulated.scenario.settings import with_settings

Row = dict[str, Any]
"""A point that has run: `key`, `duration_s`, `error` (None or a line), `figures` by name."""


def key_of(given: Input, point: Point) -> str:
    """A point's name: a digest of all that its figures follow from."""
    fast = None if point.fast is None else point.fast.of(given.footprint.pages)
    parts = {
        "version": version(),
        "kind": given.kind,
        "input": given.digest,
        "policy": point.policy,
        "fast_pages": fast,
        "settings": sorted(point.settings),
        "seed": point.seed,
    }
    return sha256(canonical(parts)).hexdigest()[:32]


_worker: list[LastLog] = []
"""The log that this process keeps, where it is a worker that does nothing else."""


def be_worker() -> None:
    """Keep logs decoded from one call of `run_points` to the next."""
    _worker[:] = [LastLog()]


def run_points(given: Input, points: Sequence[Point]) -> list[Row]:
    """Run points of one input, whose content is fetched once; a row each, in their order.

    What cannot run is a row with its error.
    """
    try:
        if given.kind != "replay":
            return [_row(given, point, Path()) for point in points]
        with _log(given, len(points)) as log:
            return [_row(given, point, log) for point in points]
    except PghotError as error:  # the input could not be fetched
        return [_failed(key_of(given, point), error, 0.0) for point in points]


@contextmanager
def _log(given: Input, replays: int) -> Iterator[Log | Path]:
    """An input's log for so many replays; a worker's is still there from the last group."""
    if _worker and "://" not in given.source:
        yield _worker[0].get(Path(given.source), given.digest)
        return
    with local(given.source) as path, kept_log(path, replays) as log:
        yield log


def _row(given: Input, point: Point, log: Log | Path) -> Row:
    start = time.perf_counter()
    key = key_of(given, point)
    try:
        run = _replay if given.kind == "replay" else _simulate
        figures = run(given, point, log)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this point's
        return _failed(key, error, time.perf_counter() - start)
    return {
        "key": key,
        "duration_s": time.perf_counter() - start,
        "error": None,
        "figures": figures,
    }


def _failed(key: str, error: Exception, duration_s: float) -> Row:
    line = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        line = f"there is not enough memory here for it ({line})"
    elif getattr(error, "exit_status", None) is None:
        line = f"{type(error).__name__}: {line}"
    return {"key": key, "duration_s": duration_s, "error": line, "figures": {}}


def _replay(given: Input, point: Point, log: Log | Path) -> dict[str, Any]:
    fidelity, layout = ENGINES[point.policy]
    settings = Settings(
        layout=LAYOUTS[layout],
        fidelity=FIDELITIES[fidelity],
        tunables=dict(point.settings),
        skip_bad=given.skip_bad,
        start=given.start,
    )
    machine = machine_named(given)
    if point.fast is not None:
        machine = _with_fast(given, point, log, machine)
    return figures_of_result(replay(log, machine, settings))


def _with_fast(given: Input, point: Point, log: Log | Path, machine: Machine | None) -> Machine:
    assert point.fast is not None  # noqa: S101 - asked before
    if machine is None:
        with nullcontext(log) if isinstance(log, Log) else open_log(log) as opened:
            machine = machine_of(opened, None)
    pages = point.fast.of(given.footprint.pages)
    anew = given.start != LOGGED
    return machine_with(machine, pages, given.footprint, placed_anew=anew)


def _simulate(given: Input, point: Point, _log: Log | Path) -> dict[str, Any]:
    scenario = scenario_of(given)
    if point.fast is not None:
        scenario = scenario_with(scenario, point.fast.of(given.footprint.pages))
    settings = [f"{name}={text}" for name, text in point.settings]
    scenario = with_settings(scenario, settings, POLICIES)
    return figures_of_outcome(simulate(scenario, point.policy, seed=point.seed))
