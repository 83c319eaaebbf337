"""A directory that `pghot replay`, `run` or `sim` wrote, as runs to report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from pghot.errors import InputError
from pghot.files.bounded import bounded_memory, read_bounded
from pghot.report.page.made import labelled
from pghot.report.page.model import Run
from pghot.report.page.read_replay import ReplaySummary, read_replay
from pghot.report.page.read_sim import SimSummary, read_sim
from pghot.report.plain import plain

SUMMARY = "summary.json"
NAME = 64
"""Characters of a run's name at the most."""

RUNS = 100
"""Runs of a report at the most."""

_Kind = TypeVar("_Kind", ReplaySummary, SimSummary)


def read_results(paths: Sequence[Path]) -> list[Run]:
    """The runs of all results, each name once; InputError where one cannot be used."""
    runs = [run for path in paths for run in read_result(path)]
    if len(runs) > RUNS:
        raise InputError(f"{len(runs)} runs; a report compares {RUNS} at the most")
    runs = [replace(run, name=shortened(run.name)) for run in labelled(runs)]
    several = len({run.name for run in runs}) < len(runs)
    return [
        replace(run, name=f"{number}: {run.name}") if several else run
        for number, run in enumerate(runs, 1)
    ]


def shortened(name: str) -> str:
    """A name that fits a legend, of characters that a file can hold."""
    name = plain(name)
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"


def read_result(path: Path) -> list[Run]:
    """The runs of one result: one, or a simulation's policies."""
    try:
        with bounded_memory(path):
            return _read_result(path)
    except OverflowError as error:
        raise InputError(f"{path}: not what pghot writes: {error}") from error


def _read_result(path: Path) -> list[Run]:
    content = _content(path / SUMMARY)
    if "policies" in content:
        return read_sim(path, _converted(path, content, SimSummary))
    if "tunables" in content:
        return [read_replay(path, _converted(path, content, ReplaySummary))]
    raise InputError(f"{path / SUMMARY}: neither of a replay nor of a run or a simulation")


def _content(path: Path) -> dict[str, object]:
    try:
        return msgspec.json.decode(read_bounded(path), type=dict[str, object])
    except FileNotFoundError:
        raise InputError(
            f"{path}: not there; a result is what pghot replay, run or sim writes with -o"
        ) from None
    except NotADirectoryError:
        raise InputError(
            f"{path.parent}: is a file; a result is the directory that pghot replay, run or sim "
            f"writes with -o"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not what pghot writes: {error}") from error


def _converted(path: Path, content: dict[str, object], kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{path / SUMMARY}: not what pghot writes: {error}") from error
