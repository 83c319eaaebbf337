"""The content of `binned.json`: of bounded size, however long a run and large its machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from pghot.errors import InputError
from pghot.files.bounded import read_bounded

BINNED = "binned.json"
VERSION = 1

Count = Annotated[int, msgspec.Meta(ge=0)]
Bound = Annotated[float, msgspec.Meta(ge=0, le=1e18)]
Above0 = Annotated[int, msgspec.Meta(ge=1)]


class _FormTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file; what it does not name is refused."""


class Series(_FormTable, frozen=True):
    """Columns of `step_us` of the run's time each, from its start on; lists of one length.

    `accesses` offered to the engine; of them `fast` to a page on the top tier, and
    `fast_without` had nothing been promoted (None where that cannot be known).  `refused`:
    ready folios that did not move, by reason.  At the end of each column: `threshold_ms`,
    the adjusted threshold (0: the window holds), and `free_pages`, both by node.
    """

    step_us: Above0
    accesses: list[Count]
    fast: list[Count] | None = None
    fast_without: list[Count] | None = None
    refused: dict[str, list[Count]] = {}
    threshold_ms: dict[str, list[Count]] = {}
    free_pages: dict[str, list[Count]] = {}


class HeatMap(_FormTable, frozen=True):
    """Accesses by address and time, row by row from the lowest address: rows x columns counts.

    `place` names the node, process or region; `part` is `whole` or `hottest`; `unit` says
    what `first`, the page that row 0 starts with, counts: `PFN`, `virtual page` or `page of
    the region`.  `share`: of all accesses to the place, those that this part had.
    `regions`: names of what is mapped there, as far as they are known.
    """

    place: str
    part: str
    unit: str
    first: Count
    pages_a_row: Above0
    rows: Above0
    step_us: Above0
    columns: Above0
    share: Annotated[float, msgspec.Meta(ge=0, le=1)]
    counts: list[Count]
    regions: list[str] = []


class NamedRegionHeat(_FormTable, frozen=True, kw_only=True):
    """A region of a process, by name: accesses to it, and its folios that were promoted."""

    name: str
    accesses: Count
    promoted: Count


class Histogram(_FormTable, frozen=True):
    """How many values there were up to each bound, and above the one before; none are 0."""

    upto: list[Bound]
    counts: list[Count]


class Binned(_FormTable, frozen=True):
    """One run.  `kind`: replay, run or simulation; `name`: its mode or its policy.

    `refused` by reason, in folios, over the whole run.  `latency_ms`: calls that move pages;
    `batches`: folios a batch; `frequency`: how many records that are not zero at the end
    have each frequency, from 0 on; `regions`: those with most accesses, the hottest first.
    What a kind does not have, or has elsewhere, is None.
    """

    kind: str
    name: str
    fidelity: str
    refused: dict[str, Count] = {}
    series: Series | None = None
    heat: list[HeatMap] = []
    regions: list[NamedRegionHeat] = []
    latency_ms: Histogram | None = None
    batches: Histogram | None = None
    frequency: list[Count] | None = None
    threshold: int | None = None
    tunables: dict[str, int] = {}
    as_live: bool = False


class BinnedFile(_FormTable, frozen=True):
    """The file."""

    version: int
    runs: list[Binned]


def binned_file(runs: list[Binned]) -> bytes:
    """Content of the file."""
    return msgspec.json.encode(BinnedFile(version=VERSION, runs=runs)) + b"\n"


def read_binned(path: Path) -> list[Binned]:
    """The runs of a file; InputError with one line where it is none of ours."""
    try:
        content = msgspec.json.decode(read_bounded(path), type=BinnedFile)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not what pghot writes: {error}") from error
    if content.version != VERSION:
        raise InputError(f"{path}: version {content.version}; this pghot reads {VERSION}")
    for run in content.runs:
        for heat in run.heat:
            if len(heat.counts) != heat.rows * heat.columns:
                raise InputError(f"{path}: {heat.place}: counts are not rows x columns")
        if run.series:
            _check_series(path, run.series)
    return content.runs


def _check_series(path: Path, series: Series) -> None:
    tables = (series.refused, series.threshold_ms, series.free_pages)
    lists = [column for table in tables for column in table.values()]
    lists += [column for column in (series.fast, series.fast_without) if column is not None]
    if any(len(column) != len(series.accesses) for column in lists):
        raise InputError(f"{path}: columns of a series differ in length")
