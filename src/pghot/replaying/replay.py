"""The replay itself: rows to the recorder, wake-ups to kmigrated, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

from pghot.baselines.shares import Baselines
from pghot.driving.driver import Driver
from pghot.driving.observer import Begun, Observer, Observers
from pghot.driving.wake_up_rows import WakeUpRows, cut, with_jiffies
from pghot.engine.array_memory import ArrayMemory
from pghot.engine.engine import Engine
from pghot.engine.memory import U64Array
from pghot.errors import InputError
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import Log, open_log
from pghot.log.schema import JUDGED, REQUIRED, SOURCES, Columns, Metadata
from pghot.replaying.busiest import BusiestBatches
from pghot.replaying.host_replay import HostRun, host_run
from pghot.replaying.read_ahead import ahead
from pghot.replaying.result import Result
from pghot.replaying.served import ServedByTier, touches_of
from pghot.replaying.settings import Settings
from pghot.replaying.start import LOGGED, Renamed, place


def replay(
    log_path: Path | str | Log,
    machine: Machine | Path | str | None = None,
    settings: Settings | None = None,
    *,
    observer: Observer | None = None,
) -> Result:
    """Replay an access log: what would have been promoted, when, and every counter.

    `log_path`: its path, or a log that is open already.  `machine` is a `Machine`, a machine
    file's path, or None for the one in the log's metadata.  `observer` looks on.
    InputError, one line, for a log, machine or tunable that cannot be used.
    """
    settings = settings or Settings()
    with nullcontext(log_path) if isinstance(log_path, Log) else open_log(log_path) as log:
        known = machine_of(log, machine)
        own = log.metadata if machine is None and settings.start == LOGGED else None
        run = _Replay(known, settings, observer or Observer(), own)
        run.begin(log)
        check = RowCheck(log.path, known, ragged=log.ragged, skip_bad=settings.skip_bad)
        columns = (*REQUIRED, *JUDGED, *run.observer.columns)
        prepared = run.prepared(check.good_rows(c) for c in log.chunks(columns))
        with closing(ahead(prepared)) as chunks:
            run.through(chunks)
        check.look_for_ragged()
        return run.result(log, skipped=check.skipped, machine_name=name_of(machine, log))


def name_of(machine: Machine | Path | str | None, log: Log) -> str | None:
    """The name of the machine to replay a log on; None for one that has none."""
    if isinstance(machine, Machine):
        return None
    return str(log.path if machine is None else machine).encode(errors="replace").decode()


def machine_of(log: Log, machine: Machine | Path | str | None) -> Machine:
    """The machine to replay a log on: the one named, else the log's own."""
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
        observer: Observer,
        metadata: Metadata | None,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._nodes = machine.nodes
        self._hz = machine.hz
        self._served: ServedByTier | None = None
        self._renamed = Renamed.nothing()
        self._busiest = BusiestBatches()
        self._sources_seen = 0
        self._first_us = self._last_us = 0
        self.observer = observer
        self.memory = ArrayMemory(machine.nodes, machine.folios)
        engine = self._make_engine()
        self._host = host_run(metadata, engine)
        if self._host is not None:
            self.memory = self._host.memory
            engine = self._make_engine()
        self.engine = engine
        self.driver = Driver(engine, Observers(self._busiest, observer))

    def begin(self, log: Log) -> None:
        """Put pages where the settings have them begin, and start the engine."""
        start = self._settings.start
        if self._host is None:
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
            self._served = ServedByTier(last_us, touches)
        self.engine.start()
        self.driver.begin(
            Begun(
                self.engine,
                self.memory,
                [node.id for node in self._nodes],
                self.driver.step_us,
                self._nodes,
                by_host=self._host is not None,
                metadata=log.metadata,
            )
        )

    def prepared(self, chunks: Iterable[Columns]) -> Iterable[Columns]:
        """Rows as they come, with jiffies, counted for what other placements would have served."""
        chunks = with_jiffies(chunks, self._hz)
        return self._served.counted(chunks) if self._served else chunks

    def through(self, chunks: Iterable[Columns]) -> None:
        """Record every row and let kmigrated look at every instant that can matter."""
        driver, step = self.driver, self.driver.step_us
        for rows in cut(self._told(chunks), step):
            self._look_until(rows.instant, step)
            driver.reached()
            if self._host is not None:
                self._host.before(driver)
            driver.record(rows)
            self._see_sources(rows)
        if self._host is not None and (end := self._host.end_us) is not None:
            self._look_until(max(end, driver.instant), step)
        if driver.instant:
            self._look()
        if self._host is not None:
            self._go_on(self._host, step)

    def _go_on(self, host: HostRun, step: int) -> None:
        """Make what is left of the answers after the last row."""
        if host.end_us is not None:
            host.after(self.driver)
        # A log that ends before its run did (a crash) tells no end.
        while not host.ended and self.engine.work_requested:
            self.driver.instant = self._woken_at(self.driver.instant + step)
            self._look()
        host.after(self.driver)

    def result(self, log: Log, *, skipped: int, machine_name: str | None) -> Result:
        """What came of it."""
        engine, metadata = self.engine, log.metadata or Metadata()
        self._report_sources()
        return Result(
            engine=engine,
            memory=self.memory,
            accesses=self.driver.rows,
            skipped=skipped,
            batches=self.driver.batches,
            elapsed_us=self.driver.instant,
            busiest=self._busiest.found,
            as_live=self._host is not None,
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
        written = self._host is not None and "enabled_sources" in self._host.written
        if self._sources_by_log and not written:
            self.engine.write("enabled_sources", str(self._sources_seen))

    def _look_until(self, instant: int, step: int) -> None:
        """Make the wake-ups before `instant`; idle ones are no work and are passed over."""
        driver = self.driver
        while driver.instant and driver.instant < instant:
            self._look()
            if not self.engine.work_requested:
                break
            driver.instant = self._woken_at(driver.instant + step)
        driver.instant = self._woken_at(instant)

    def _woken_at(self, instant: int) -> int:
        return instant if self._host is None else self._host.woken_at(instant, self.driver)

    def _told(self, chunks: Iterable[Columns]) -> Iterator[Columns]:
        halves = self._served.halves(chunks, self.engine) if self._served else chunks
        for columns in halves:
            self._timed(columns["time_us"])
            rows = self._renamed.rows(columns)
            self.observer.coming(rows)
            yield rows

    def _timed(self, time_us: U64Array) -> None:
        """Note when the first row was, and the last."""
        if len(time_us):
            if not self.driver.rows:
                self._first_us = int(time_us[0])
            self._last_us = int(time_us[-1])

    def _look(self) -> None:
        self.driver.reached()
        if self._host is not None:
            self._host.before(self.driver)
        self.driver.wake()

    def _see_sources(self, rows: WakeUpRows) -> None:
        if self._sources_by_log and self._sources_seen != (1 << len(SOURCES)) - 1:
            for number in {int(rows.source.min()), int(rows.source.max())}:  # there are but two
                self._sources_seen |= 1 << number
