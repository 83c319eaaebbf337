"""The replay itself: rows to the recorder, wake-ups to kmigrated, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Protocol

import numpy as np

from pghot.baselines.shares import Baselines
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.memory import Node, U64Array
from pghot.engine.migrated import Batch, Migrated
from pghot.engine.units import usecs_to_jiffies
from pghot.errors import InputError
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import Log, open_log
from pghot.log.schema import JUDGED, REQUIRED, SOURCES, Columns, Metadata
from pghot.replaying.ahead import ahead
from pghot.replaying.host_replay import HostMemory, answered_by_host
from pghot.replaying.result import BusyBatch, Result
from pghot.replaying.served import Served, touches_of
from pghot.replaying.settings import Settings
from pghot.replaying.start import LOGGED, Renamed, place
from pghot.sources.access_log import WakeUpRows, cut

BUSIEST = 5
"""Batches that the result remembers, by pages moved."""


class Promotions(Protocol):
    """Somebody who wants to know of every batch."""

    def add(self, time_us: int, number: int, batch: Batch) -> None:
        """Take the batch of this number, moved at `time_us`."""


class Watch(Protocol):
    """Somebody who wants to know of every access and wake-up (`binning.run_binner`)."""

    def begin(self, nodes: Sequence[Node], step_us: int) -> None:
        """Start: the machine's nodes, and microseconds from one wake-up to the next."""

    def rows(self, instant: int, pfns: U64Array) -> None:
        """Take accesses that are recorded before the wake-up at `instant`."""

    def looked(
        self, instant: int, accesses: int, engine: Engine, free_pages: Callable[[int], int]
    ) -> None:
        """Take in how things are after a wake-up, with so many rows so far."""


class Follower(Protocol):
    """Somebody who goes along with a replay: sees each instant first, and may hold it up."""

    columns: tuple[str, ...]
    """Optional columns of the log that are wanted, where it has them."""

    def begins(self, engine: Engine, memory: ArrayMemory, *, as_live: bool) -> None:
        """Take the engine, started, and its machine: for looking at, and for `Engine.write`."""

    def takes(self, rows: Columns) -> None:
        """Take the log's next rows, ahead of the instants they are for."""

    def reaches(self, instant: int, rows: int, batches: int) -> None:
        """Take in that everything before `instant` (microseconds) is done.

        `rows` and `batches` are those so far.
        """


class _Nobody:
    columns: tuple[str, ...] = ()

    def begins(self, engine: Engine, memory: ArrayMemory, *, as_live: bool) -> None:
        """Take no notice."""

    def takes(self, rows: Columns) -> None:
        """Take no notice."""

    def reaches(self, instant: int, rows: int, batches: int) -> None:
        """Take no notice."""


def replay(
    log_path: Path | str | Log,
    machine: Machine | Path | str | None = None,
    settings: Settings | None = None,
    *,
    promotions: Promotions | None = None,
    watch: Watch | None = None,
    progress: Callable[[int], None] | None = None,
    observe: Callable[[Engine], object] | None = None,
    follower: Follower | None = None,
) -> Result:
    """Replay an access log: what would have been promoted, when, and every counter.

    `log_path`: its path, or a log that is open already.
    `machine` is a `Machine`, a machine file's path, or None for the one in the log's
    metadata.  `promotions` is told every batch, `watch` every row and wake-up, `progress` the
    rows done so far; `observe` may put an observer into the engine before it takes the first,
    and `follower` goes along.
    InputError, one line, for a log, machine or tunable that cannot be used.
    """
    settings = settings or Settings()
    with nullcontext(log_path) if isinstance(log_path, Log) else open_log(log_path) as log:
        known = machine_of(log, machine)
        own = log.metadata if machine is None and settings.start == LOGGED else None
        follower = follower or _Nobody()
        run = _Replay(known, settings, promotions, watch, progress, follower, own)
        if observe is not None:
            observe(run.engine)
        run.begin(log)
        check = RowCheck(log.path, known, ragged=log.ragged, skip_bad=settings.skip_bad)
        columns = (*REQUIRED, *JUDGED, *follower.columns)
        good_rows = (check.good_rows(c) for c in log.chunks(columns))
        with closing(ahead(good_rows)) as chunks:
            run.through(chunks)
        check.look_for_ragged()
        return run.result(log, skipped=check.skipped, machine_name=name_of(machine, log))


def name_of(machine: Machine | Path | str | None, log: Log) -> str | None:
    """Give the name of the machine to replay a log on; None for one that has none."""
    if isinstance(machine, Machine):
        return None
    return str(log.path if machine is None else machine).encode(errors="replace").decode()


def machine_of(log: Log, machine: Machine | Path | str | None) -> Machine:
    """Give the machine to replay a log on: the one named, else the log's own."""
    if isinstance(machine, Machine):
        return machine
    if machine is not None:
        return Machine.load(machine)
    if log.metadata is None or not log.metadata.machine:
        raise InputError(
            f"{log.path}: says nothing of the machine it was taken on; name one with --machine "
            "FILE (pghot topology -o FILE writes the host's), or convert again with --machine FILE"
        )
    data = {"hz": log.metadata.hz} | log.metadata.machine
    return Machine.from_dict(data, f"{log.path}: machine in its metadata")


class _Replay:
    """One replay under way."""

    def __init__(
        self,
        machine: Machine,
        settings: Settings,
        promotions: Promotions | None,
        watch: Watch | None,
        progress: Callable[[int], None] | None,
        follower: Follower,
        metadata: Metadata | None,
    ) -> None:
        self._promotions = promotions
        self._watch = watch
        self._nodes = machine.nodes
        self._progress = progress
        self._follower = follower
        self._settings = settings
        self._hz = machine.hz
        self._machine = machine
        self._served: Served | None = None
        self._renamed = Renamed.nothing()
        self.memory = ArrayMemory(machine.nodes, machine.folios)
        self.engine = self._make_engine()
        self._live = answered_by_host(metadata, self.engine)
        if self._live is not None:
            self.memory = self._live
            self.engine = self._make_engine()
        self._sources_seen = 0
        self._rows = 0
        self._batches = 0
        self._instant = 0
        self._first_us = self._last_us = 0
        self._busiest: list[BusyBatch] = []

    def begin(self, log: Log) -> None:
        """Put pages where the settings have them begin, and start the engine."""
        start = self._settings.start
        if self._live is None:
            last_us, touches = log.last_us(), None
            if start != LOGGED:
                check = RowCheck(
                    log.path,
                    self._machine,
                    ragged=log.ragged,
                    skip_bad=self._settings.skip_bad,
                )
                touches = touches_of(map(check.good_rows, log.chunks()), last_us)
                touched = touches.touched(self.memory.mem_map)
                self._renamed = place(self.memory, self._nodes, touched, start)
            self._served = Served(last_us, touches)
        self.engine.start()
        self._follower.begins(self.engine, self.memory, as_live=self._live is not None)

    def through(self, chunks: Iterable[Columns]) -> None:
        """Record every row and let kmigrated look at every instant that can matter."""
        step = self.engine.wake_us
        if self._watch is not None:
            self._watch.begin(self._nodes, step)
        for rows in cut(self._told(chunks), step, self._hz):
            self._look_until(rows.instant, step)
            self._follower.reaches(self._instant, self._rows, self._batches)
            if self._live is not None:
                self._live.before(self._instant, self.engine)
            self._record(rows)
        if self._live is not None and (end := self._live.end_us) is not None:
            self._look_until(max(end, self._instant), step)
        if self._instant:
            self._look()
        if self._live is not None:
            self._go_on(self._live, step)

    def _go_on(self, live: HostMemory, step: int) -> None:
        """Make what is left on the answers after the last row."""
        if live.end_us is not None:
            live.after(self.engine)
        # A log that ends before its run did (a crash) tells no end.
        while not live.ended and self.engine.work_requested:
            self._instant = self._woken_at(self._instant + step)
            self._look()
        live.after(self.engine)

    def result(self, log: Log, *, skipped: int, machine_name: str | None) -> Result:
        """Give what came of it."""
        engine, metadata = self.engine, log.metadata or Metadata()
        self._report_sources()
        return Result(
            engine=engine,
            memory=self.memory,
            accesses=self._rows,
            skipped=skipped,
            batches=self._batches,
            elapsed_us=self._instant,
            busiest=tuple(self._busiest),
            as_live=self._live is not None,
            taken_by=metadata.taken_by,
            machine=self._machine,
            start=self._settings.start,
            served=self._served.share(engine) if self._served else None,
            baselines=self._baselines(),
            log_path=log.path,
            machine_name=machine_name,
            span_us=self._last_us - self._first_us,
            accesses_a_row=metadata.accesses_a_row,
        )

    def _baselines(self) -> Baselines | None:
        if self._served is None:
            return None
        return self._served.baselines(self.memory, self._nodes, self._settings.start)

    def _make_engine(self) -> Engine:
        settings = self._settings
        engine = Engine(self.memory, settings.layout, hz=self._hz, fidelity=settings.fidelity)
        self._write_tunables(engine)
        return engine

    def _write_tunables(self, engine: Engine) -> None:
        tunables = dict(self._settings.tunables)
        sources = self._settings.sources
        if sources is not None and "enabled_sources" in tunables:
            raise InputError("give the sources by --source or by enabled_sources, not both")
        bits = sum(1 << SOURCES[name] for name in set(sources or SOURCES))
        self._sources_by_log = sources is None and "enabled_sources" not in tunables
        tunables.setdefault("enabled_sources", str(bits))
        for name, text in tunables.items():
            engine.write(name, str(text))
        target = engine.tunables["target_nid"]
        if not self.memory.node_online(target):
            raise InputError(
                f"target_nid: the machine has no node {target}; name one with --set target_nid=N"
            )

    def _report_sources(self) -> None:
        """Say which sources were enabled: those seen, where the log chose.

        All were, during the replay; one that brings nothing changes nothing.
        """
        written = self._live is not None and "enabled_sources" in self._live.written
        if self._sources_by_log and not written:
            self.engine.write("enabled_sources", str(self._sources_seen))

    def _look_until(self, instant: int, step: int) -> None:
        """Make the wake-ups before `instant`; idle ones are no work and are passed over."""
        while self._instant and self._instant < instant:
            self._look()
            if not self.engine.work_requested:
                break
            self._instant = self._woken_at(self._instant + step)
        self._instant = self._woken_at(instant)

    def _woken_at(self, instant: int) -> int:
        return instant if self._live is None else self._live.woken_at(instant, self.engine)

    def _told(self, chunks: Iterable[Columns]) -> Iterator[Columns]:
        halves = self._served.halves(chunks, self.engine) if self._served else chunks
        for columns in halves:
            self._timed(columns["time_us"])
            rows = self._renamed.rows(columns)
            self._follower.takes(rows)
            yield rows

    def _timed(self, time_us: U64Array) -> None:
        """Note when the first row was, and the last."""
        if len(time_us):
            if not self._rows:
                self._first_us = int(time_us[0])
            self._last_us = int(time_us[-1])

    def _look(self) -> None:
        self._follower.reaches(self._instant, self._rows, self._batches)
        if self._live is not None:
            self._live.before(self._instant, self.engine)
        for migrated in self.engine.migrations(usecs_to_jiffies(self._instant, self._hz)):
            if self._promotions is not None:
                for number, batch in enumerate(migrated, self._batches):
                    self._promotions.add(self._instant, number, batch)
            self._remember(migrated)
            self._batches += len(migrated)
        if self._watch is not None:
            self._watch.looked(self._instant, self._rows, self.engine, self.memory.free_pages)
        if self._progress:
            self._progress(self._rows)

    def _remember(self, migrated: Migrated) -> None:
        """Keep the busiest batches; of equals, those that came first."""
        pages = migrated.batches["pages_moved"]
        least = self._busiest[-1].pages if len(self._busiest) == BUSIEST else -1
        for at in np.flatnonzero(pages > least).tolist():
            if len(self._busiest) == BUSIEST and pages[at] <= self._busiest[-1].pages:
                continue
            folios, nid, memcg, moved = migrated.batches[at].tolist()
            self._busiest.append(
                BusyBatch(
                    number=self._batches + at,
                    time_us=self._instant,
                    from_nid=migrated.from_nid,
                    to_nid=nid,
                    memcg=memcg,
                    folios=folios,
                    pages=moved,
                )
            )
            self._busiest.sort(key=lambda busy: -busy.pages)
            del self._busiest[BUSIEST:]

    def _record(self, rows: WakeUpRows) -> None:
        self.engine.record_many(rows.pfn, rows.nid, rows.source, rows.jiffies, rows.latency_us)
        self._rows += len(rows.pfn)
        if self._watch is not None:
            self._watch.rows(rows.instant, rows.pfn)
        if self._sources_by_log and self._sources_seen != (1 << len(SOURCES)) - 1:
            for number in {int(rows.source.min()), int(rows.source.max())}:  # there are but two
                self._sources_seen |= 1 << number
