"""How many accesses of a log each size of fast memory would serve, from one pass over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pghot.baselines.folios import FirstTouches, headroom_for, placed_fast
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.mem_map import MemMap
from pghot.errors import InputError
from pghot.exploring.curve_notes import notes_of
from pghot.exploring.curve_result import Curve, Scope
from pghot.exploring.fault_rates import LATENCY, FaultRates
from pghot.exploring.price import Price
from pghot.exploring.rows import ANYWHERE, good_rows
from pghot.exploring.scopes import BY, Scopes, scopes_by
from pghot.exploring.sizes import FastSize, sizes_up_to
from pghot.exploring.tally import BY_LATENCY, STEADY, WHOLE, AccessTally, Line, placed_lines
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import Log, open_log
from pghot.log.schema import SOURCES

PARTS = {WHOLE: slice(0, 2), STEADY: slice(1, 2)}


def curve(
    log: Path | str,
    machine: Machine | Path | str | None = None,
    *,
    sizes: tuple[FastSize, ...] = (),
    by: str | None = None,
    price: Price | None = None,
    skip_bad: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Curve:
    """The share of a log's accesses that fast memory of each size would serve.

    `machine` as for `replay`, but a log may do without: then every page is one folio, and
    what is not fast has room.  `sizes` come beside the percents of the footprint.  `by`:
    `process`, `memcg` or `region` (heap, stack, files, libraries) for curves of each.
    `progress` is told the rows done so far.

    Memory is bounded whatever the log; lines are exact, and those of the placements the
    replay's own, where it touches at most 32 GiB.  InputError for a log that cannot be used.

    >>> import pghot
    >>> found = pghot.curve("examples/sqlite.parquet")
    >>> found.whole
    <curves of the whole log: 830,009 accesses to 6,465 pages>
    >>> tenth = found.whole.pages // 10
    >>> found.whole.share("bound", tenth) > found.whole.share("interleave", tenth)
    True
    >>> found.to_arrow().column_names[:4]
    ['scope', 'line', 'part', 'fast_pages']
    """
    if by is not None and by not in BY:
        raise InputError(f"by {by}: there are {', '.join(BY)}")
    with open_log(log) as opened:
        run = _Pass(opened, machine, by, skip_bad=skip_bad)
        run.through(progress)
        return run.result(sizes, price)


class _Pass:
    """A pass over a log."""

    def __init__(
        self, log: Log, machine: Machine | Path | str | None, by: str | None, *, skip_bad: bool
    ) -> None:
        self._log = log
        self._machine = _machine_of(log, machine)
        self._check = RowCheck(
            log.path, self._machine or ANYWHERE, ragged=log.ragged, skip_bad=skip_bad
        )
        self._first_us = self._last_us = 0
        self._tally = AccessTally()
        self._by = by
        self._scopes = scopes_by(by, log) if by else None
        self._sources = np.zeros(len(SOURCES), np.int64)
        self._rates = FaultRates()

    def through(self, progress: Callable[[int], None] | None) -> None:
        """Count every row."""
        wanted = BY[self._by] if self._by else ()
        has_latency = LATENCY in self._log.columns
        wanted += (LATENCY,) if has_latency else ()
        for rows in good_rows(self._log, self._check, wanted):
            pfns, times = rows.columns["pfn"], rows.columns["time_us"]
            self._first_us = self._first_us if rows.first else int(times[0])
            self._last_us = int(times[-1])
            odd = (np.arange(rows.first, rows.first + len(pfns)) & 1).astype(np.bool_)
            self._tally.add(pfns, rows.part, odd)
            if self._scopes is not None:
                self._scopes.add(rows.columns, rows.part, odd)
            if has_latency:
                self._rates.add(rows.columns)
            self._sources += np.bincount(rows.columns["source"], minlength=len(SOURCES))
            if progress:
                progress(rows.first + len(pfns))
        if not self._tally.accesses:
            raise InputError(f"{self._log.path}: has no row, so there is no curve of it")

    def result(self, sizes: tuple[FastSize, ...], price: Price | None) -> Curve:
        """What came of it."""
        mem_map = None
        if self._machine is not None:
            mem_map = ArrayMemory(self._machine.nodes, self._machine.folios).mem_map
        whole = self._scope("", self._tally, sizes, mem_map)
        by_latency = self._rates.shares(whole.sizes)
        if by_latency.any():
            none = np.zeros(len(whole.sizes))
            line = Line(BY_LATENCY, WHOLE, by_latency, none)
            whole = replace(whole, lines=(*whole.lines, line))
        scopes: Scopes | list[tuple[str, AccessTally]] = self._scopes or []
        return Curve(
            log=str(self._log.path),
            taken_by=self._log.metadata.taken_by if self._log.metadata else "",
            skipped=self._check.skipped,
            faults=int(self._sources[SOURCES["hintfault"]]),
            span_us=self._last_us - self._first_us,
            whole=whole,
            scopes=tuple(self._scope(name, tally, sizes, None) for name, tally in scopes),
            price=price,
            notes=notes_of(
                whole,
                self._tally.counted(),
                dict(zip(SOURCES, self._sources.tolist(), strict=True)),
            ),
        )

    def _scope(
        self, name: str, tally: AccessTally, sizes: tuple[FastSize, ...], mem_map: MemMap | None
    ) -> Scope:
        sampled = tally.counted()
        pages = sampled.touched.footprint
        if mem_map is not None and sampled.rate == 1:
            pages = sampled.touched.as_folios(mem_map).footprint
        pages = round(pages / sampled.rate)
        at = sizes_up_to(pages, tuple(size.of(pages) for size in sizes))
        slow = pages if mem_map is None else self._slow_headroom(sampled.touched, mem_map)
        lines = placed_lines(sampled, at, slow, mem_map, halves=True)
        lines += tally.lru_lines(at, PARTS)
        return Scope(name, tally.accesses, pages, at, tuple(lines), sampled.rate, tally.lru_rate)

    def _slow_headroom(self, touched: FirstTouches, mem_map: MemMap) -> int:
        """The pages that the machine has below the top tier for the log's folios."""
        assert self._machine is not None  # noqa: S101 - there is a mem_map
        folios = touched.as_folios(mem_map)
        nodes = self._machine.nodes
        return headroom_for(folios, placed_fast(folios, mem_map, nodes), nodes).slow


def _machine_of(log: Log, machine: Machine | Path | str | None) -> Machine | None:
    """The machine named, else the log's own, else None."""
    if machine is None and (log.metadata is None or not log.metadata.machine):
        return None
    from pghot.replaying.replay import machine_of  # noqa: PLC0415 - brings the engine

    return machine_of(log, machine)
